import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Check } from '../../contract/host.ts'
import type { IsolationLevel, SandboxName } from '../../contract/ids.ts'
import type { Limits, Policy } from '../../contract/policy.ts'
import type { Clock } from '../../kernel/clock.ts'
import { LazarusError } from '../../kernel/errors.ts'
import type { Log } from '../../kernel/log.ts'
import type { Cgroups } from '../../linux/cgroup.ts'
import { closeInherited } from '../../linux/descriptors.ts'
import type { Rlimit } from '../../linux/hull.ts'
import { Pipes } from '../../linux/pipes.ts'
import { writeFixedFiles } from './host-view.ts'
import { Launcher } from './launcher.ts'
import { keyOf, Records } from './records.ts'
import { compileSeccomp, type SeccompArch, type SeccompProfile } from './seccomp.ts'

/** What `main/` and tests give to a driver of level 1 or 2. */
export interface HullDriverDeps {
  /** A private directory for this driver's records, on a file system that allows fifos; made when missing. */
  readonly root: string
  /** Where policies name their seccomp profile. */
  readonly policies_dir: string
  /** The level's policy as it ships: what `probe` attacks. */
  readonly policy: Policy
  readonly cgroups: Cgroups | null
  readonly clock: Clock
  readonly log: Log
  /** Called before each step; tests make it throw. */
  readonly faults?: (step: string) => void
}

/** What tells level 1 and level 2 apart. */
export interface Inner {
  readonly level: IsolationLevel
  /** Argument vector, inside the hull, of the confinement around a command. Pure. */
  argv(policy: Policy, command: readonly string[]): string[]
  /** What must hold before a sandbox can be tried. */
  checks(): Promise<Check[]>
}

/** What every verb of the driver needs. */
export interface Workshop {
  readonly inner: Inner
  readonly deps: HullDriverDeps
  readonly records: Records
  readonly pipes: Pipes
  readonly launcher: Launcher
  readonly files: Readonly<Record<string, string>>
}

export function openWorkshop(inner: Inner, deps: HullDriverDeps): Workshop {
  closeInherited()
  mkdirSync(deps.root, { recursive: true, mode: 0o700 })
  const launcher = new Launcher()
  return {
    inner,
    deps,
    records: new Records(deps.root),
    pipes: new Pipes(join(deps.root, 'pipes'), (paths) => launcher.makeFifos(paths)),
    launcher,
    files: writeFixedFiles(deps.root),
  }
}

/**
 * Pits of one user, and the levels of one pit, make their cgroups in the same place, and each of them probes a cell of
 * the same name: ending one must not end another's.
 */
export const cgroupName = ({ deps }: Pick<Workshop, 'deps'>, name: SandboxName): string =>
  `${createHash('sha256').update(deps.root).digest('hex').slice(0, 12)}-${keyOf(name)}`

/** The compiled filter of a policy as a file, made once per content; null where the policy has none. */
export function seccompFile({ deps }: Workshop, policy: Policy): string | null {
  if (policy.seccomp === null) return null
  const text = readFileSync(join(deps.policies_dir, policy.seccomp), 'utf8')
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16)
  const path = join(deps.root, `seccomp-${hash}.bpf`)
  if (!existsSync(path)) {
    writeFileSync(`${path}.new`, compileSeccomp(JSON.parse(text) as SeccompProfile, architecture()), { mode: 0o600 })
    renameSync(`${path}.new`, path)
  }
  return path
}

function architecture(): SeccompArch {
  if (process.arch === 'x64' || process.arch === 'arm64') return process.arch
  throw new LazarusError('isolation_unavailable', `There is no seccomp filter for the architecture ${process.arch}.`, {
    remedy: 'Use level 1 or level 3 on this machine.',
  })
}

const RLIMIT_OF: Readonly<Partial<Record<keyof Limits, Rlimit>>> = { pids: 'nproc', nofile: 'nofile', disk: 'fsize' }
const TITLES: Readonly<Record<Rlimit, string>> = {
  nproc: 'Max processes',
  nofile: 'Max open files',
  fsize: 'Max file size',
  core: 'Max core file size',
}

/** The rlimits that stand for a policy; never above our own hard limits, which could not be raised. */
export function rlimitsFor(
  limits: Limits,
  ownLimits = readFileSync('/proc/self/limits', 'utf8'),
): Partial<Record<Rlimit, number>> {
  const wanted: Partial<Record<Rlimit, number>> = { core: 0 }
  for (const [name, rlimit] of Object.entries(RLIMIT_OF) as [keyof Limits, Rlimit][]) {
    const value = limits[name]
    if (value !== undefined) wanted[rlimit] = Math.min(value, hardLimit(ownLimits, TITLES[rlimit]))
  }
  return wanted
}

function hardLimit(text: string, title: string): number {
  const line = text.split('\n').find((candidate) => candidate.startsWith(title))
  const hard = line?.slice(title.length).trim().split(/\s+/)[1]
  return hard === undefined || hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard)
}
