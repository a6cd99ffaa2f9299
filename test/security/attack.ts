import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../../src/linux/run.ts'

/** Where an attack must succeed to prove that it is one: outside of any cell, or in a sandbox that was made badly. */
export type Control = 'host' | keyof typeof WEAK

/** Shell text that ends with 0 when it got what it wanted. Its parameters are environment variables. */
export interface Attack {
  readonly name: string
  readonly control: Control
  readonly script: string
}

export type Outcomes = ReadonlyMap<string, string>

/** A perl program as shell text: perl is in every cell, a compiler is not, and `syscall` reaches whatever libc hides. */
export const perl = (code: string): string => `perl - <<'END_OF_PERL'\n${code}\nEND_OF_PERL`

/** Every canary begins so; what an attack reads is piped here. */
const SAW = 'saw() { grep -aq "canary-"; }\n'
const SECONDS_EACH = 20

/** Runs "name script" pairs one after the other. Output goes to a file: what stays behind may hold it, not us. */
const RUNNER = `while [ $# -gt 0 ]; do
  name=$1 script=$2; shift 2
  if timeout -k 1 ${SECONDS_EACH} sh -c "$script" attack >"$SCRATCH/out" 2>&1 </dev/null
  then echo "$name: open"; else echo "$name: shut"; fi
done
rm -f "$SCRATCH/out"
`

export const attackCommand = (attacks: readonly Attack[], before = ''): string[] => [
  '/bin/sh',
  '-c',
  before + RUNNER,
  'attacks',
  ...attacks.flatMap(({ name, script }) => [name, SAW + script]),
]

/** An attack without a line could not be tried: that is neither open nor shut. */
export const outcomesOf = (output: string): Outcomes =>
  new Map([...output.matchAll(/^(\w+): (open|shut)$/gm)].map(([, name, outcome]) => [name!, outcome!]))

const NAMESPACES = [
  'unshare',
  '--user',
  '--map-root-user',
  '--mount',
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
]

/** Sandboxes with one mistake each, around the same program. $TARGET is to be protected, $SCRATCH may be used. */
const WEAK = {
  /** Masks the home, but leaves the agent root of the namespace in which the mask lies. */
  capable: `mount -t tmpfs none "$TARGET"; mkdir -p "$READONLY"; mount --bind "$READONLY" "$READONLY"
    mount -o remount,bind,ro "$READONLY"\n`,
  /** Keeps the agent in with chroot alone. */
  chrooted: `mkdir -p "$SCRATCH/jail"; mount -t tmpfs none "$SCRATCH/jail"; cd "$SCRATCH/jail"; mkdir .old tmp
    for d in usr dev proc; do mkdir $d; mount --rbind /$d $d; done
    for l in bin lib lib64; do ln -s usr/$l $l; done; mkdir -p ".$SCRATCH"\n`,
  /** Enters its new root and leaves the old one below it. */
  undetached: '',
} as const

const IN_JAIL = 'exec chroot . "$@"'
const IN_PIVOTED = 'pivot_root . .old; cd /; exec "$@"'

function weakened(control: Exclude<Control, 'host'>, command: readonly string[]): string[] {
  const enter = { capable: 'exec "$@"', chrooted: IN_JAIL, undetached: IN_PIVOTED }[control]
  const before = control === 'undetached' ? WEAK.chrooted : WEAK[control]
  return [...NAMESPACES, 'sh', '-c', before + enter, 'weak', ...command]
}

/** The same programs with the same parameters where nothing, or too little, protects the target. */
export async function controlOutcomes(
  attacks: readonly Attack[],
  parameters: Readonly<Record<string, string>>,
): Promise<Outcomes> {
  const all = new Map<string, string>()
  for (const control of new Set(attacks.map((attack) => attack.control))) {
    const scratch = mkdtempSync('/var/tmp/control-')
    try {
      const command = attackCommand(attacks.filter((attack) => attack.control === control))
      const [file, ...args] = control === 'host' ? command : weakened(control, command)
      const environment = {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        SCRATCH: scratch,
        PLACES: scratch,
        READONLY: join(scratch, 'ro'),
        ...parameters,
      }
      const done = await run(file!, args, { environment, cwd: scratch, timeout_ms: 120_000 })
      for (const [name, outcome] of outcomesOf(done.stdout.toString())) all.set(name, outcome)
    } finally {
      rmSync(scratch, { recursive: true, force: true })
    }
  }
  return all
}
