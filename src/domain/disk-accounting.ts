/**
 * When to measure what a seat holds on disk. Measuring walks a tree, so it is done where it can show something: a seat
 * can have passed its limit only if that much was written on the file system since the last look. All bytes, all
 * milliseconds of one monotonic clock.
 */
export interface Look {
  readonly bytes: number
  readonly at: number
  /** What everybody together had written on the file system by then. */
  readonly written: number
}

export interface Account {
  readonly key: string
  readonly limit: number
  /** null: nobody has looked yet. */
  readonly look: Look | null
}

/** Of what remains to a seat, written by anybody: worth a look. */
const SUSPICIOUS = 0.5
/** Not twice within. */
const SPACING_MS = 5000
/** Bytes that one frees hide bytes that another writes at the same moment: now and then everybody is looked at. */
const FULL_PASS_MS = 600_000

/** How much of what remains to the seat it may have used since the last look. 1 and more: it may be over its limit. */
function suspicion({ limit, look }: Account, written: number): number {
  if (look === null) return SUSPICIOUS
  return (written - look.written) / Math.max(1, limit - look.bytes)
}

/** What a look costs of one core, as measured: the passage, and each entry of the tree. Milliseconds. */
const COST_MS = { passage: 20, entry: 0.006 }

/** So long nobody is looked at after a look: then all looks together take a hundredth of a core. */
export const restMs = (entries: number): number => 100 * (COST_MS.passage + COST_MS.entry * entries)

const isDue = (account: Account, written: number, now: number): boolean =>
  account.look === null ||
  now - account.look.at >= FULL_PASS_MS ||
  (now - account.look.at >= SPACING_MS && suspicion(account, written) >= SUSPICIOUS)

/** The seat that is looked at next, the most suspicious first; null: none. */
export function nextLook<A extends Account>(accounts: readonly A[], written: number, now: number): A | null {
  const due = accounts.filter((account) => isDue(account, written, now))
  return due.toSorted((a, b) => suspicion(b, written) - suspicion(a, written))[0] ?? null
}
