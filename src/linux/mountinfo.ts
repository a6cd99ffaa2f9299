/** One line of /proc/<pid>/mountinfo. */
export interface MountFact {
  readonly id: number
  /** Major and minor number of the file system, as in "8:1". */
  readonly device: string
  readonly root: string
  readonly target: string
  /** Flags of this mount: ro, nosuid, nodev, noexec, … */
  readonly flags: readonly string[]
  readonly type: string
  readonly source: string
  /** Options of the file system below it. */
  readonly super_options: readonly string[]
}

const unescapeField = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

export function parseMountinfo(text: string): MountFact[] {
  const facts: MountFact[] = []
  for (const line of text.split('\n')) {
    const fields = line.split(' ')
    const dash = fields.indexOf('-', 6)
    if (dash < 0) continue
    facts.push({
      id: Number(fields[0]),
      device: fields[2]!,
      root: unescapeField(fields[3]!),
      target: unescapeField(fields[4]!),
      flags: fields[5]!.split(','),
      type: fields[dash + 1]!,
      source: unescapeField(fields[dash + 2] ?? ''),
      super_options: (fields[dash + 3] ?? '').split(','),
    })
  }
  return facts
}

/** Whether `path` is `ancestor` or lies below it. Both absolute and normalised. */
export const isWithin = (path: string, ancestor: string): boolean =>
  path === ancestor || ancestor === '/' || path.startsWith(`${ancestor}/`)

/** The mount that a path lies on: the deepest target, and of two at the same place the later one. */
export function mountOf(path: string, facts: readonly MountFact[]): MountFact | undefined {
  let best: MountFact | undefined
  for (const fact of facts) {
    if (isWithin(path, fact.target) && (!best || fact.target.length >= best.target.length)) best = fact
  }
  return best
}

/** Mounts strictly below a path, shallow before deep, each place once. */
export function mountsBelow(path: string, facts: readonly MountFact[]): MountFact[] {
  const byTarget = new Map<string, MountFact>()
  for (const fact of facts) {
    if (fact.target !== path && isWithin(fact.target, path)) byTarget.set(fact.target, fact)
  }
  return [...byTarget.values()].sort((a, b) => (a.target < b.target ? -1 : 1))
}
