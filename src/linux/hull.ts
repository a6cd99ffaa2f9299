import { existsSync, lstatSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { asLazarusError, LazarusError } from '../kernel/errors.ts'
import { type HullMount, mountTable } from './mount-table.ts'
import { isWithin, parseMountinfo } from './mountinfo.ts'
import { type RunOptions, type RunResult, run } from './run.ts'

/**
 * The hull: namespaces and mounts around a command. Levels 1 and 2 start their sandboxes in one; the airlock is one.
 * Everything is data until hull.pl makes it: a Perl program, because Node cannot call the kernel, every Debian and
 * Ubuntu has Perl, and `unshare`, `mount`, `pivot_root`, `umount` as programs cost more than all that they do.
 */
export interface HullSpec {
  /** An existing private directory that belongs to this hull alone: root skeleton, mount table, records. */
  readonly run_dir: string
  /** In order; targets are absolute inside the new root. */
  readonly mounts: readonly HullMount[]
  /** Symlinks of the root skeleton, for example { '/bin': 'usr/bin' }. */
  readonly symlinks: Readonly<Record<string, string>>
  /** Empty directories of the root skeleton. */
  readonly directories?: readonly string[]
  /** 'own' has a loopback interface that is up; in 'none' nothing is. */
  readonly network: 'own' | 'none' | 'host'
  readonly rlimits: Readonly<Partial<Record<Rlimit, number>>>
  /** What runs inside, as uid 0 of the hull's user namespace. */
  readonly command: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

/** Processes of the hull and what nests in it, open files, bytes of one file, bytes of a core dump. */
export type Rlimit = 'nproc' | 'nofile' | 'fsize' | 'core'

/** The search path of everything that we start ourselves, outside and inside. */
export const SYSTEM_PATH = '/usr/bin:/usr/sbin:/bin:/sbin'

/** Exit code of a hull that could not be made; what is wrong stands on stderr. */
export const HULL_FAILED = 125

const HULL_PROGRAM = fileURLToPath(new URL('hull.pl', import.meta.url))

export const rlimitWords = (rlimits: HullSpec['rlimits']): string =>
  Object.entries(rlimits)
    .map(([name, value]) => `${name}:${Math.floor(value)}`)
    .join(' ')

/** The argument vector that makes the hull; runs with `run_dir` as working directory and the spec's environment. */
export const hullArgv = (spec: HullSpec, table = 'table'): string[] => [
  'perl',
  '-w',
  HULL_PROGRAM,
  process.arch,
  'root',
  table,
  spec.network,
  rlimitWords(spec.rlimits),
  ...spec.command,
]

/** What the inside of a hull looks like. */
export type HullLayout = Pick<HullSpec, 'mounts' | 'symlinks' | 'directories'>

/** A mount covers a directory or, like /dev/null and /etc/passwd, a file. Throws when a source does not exist. */
export const coversFile = (mount: HullMount): boolean =>
  mount.kind === 'device' || (mount.kind === 'bind' && !statSync(mount.source).isDirectory())

/** Makes `run_dir`/root: mount points and symlinks, made before because the root is read-only from the start. */
export function laySkeleton(run_dir: string, { mounts, symlinks, directories = [] }: HullLayout): void {
  const root = `${run_dir}/root`
  for (const path of ['/.old', ...directories]) mkdirSync(root + path, { recursive: true, mode: 0o755 })
  const covered: string[] = []
  for (const mount of mounts) {
    // Below an earlier mount the place must exist there already; the host never creates inside a layer.
    if (!covered.some((target) => isWithin(mount.target, target))) layMountPoint(root + mount.target, coversFile(mount))
    covered.push(mount.target)
  }
  for (const [path, to] of Object.entries(symlinks)) {
    mkdirSync(dirname(root + path), { recursive: true, mode: 0o755 })
    if (!lstatSync(root + path, { throwIfNoEntry: false })) symlinkSync(to, root + path)
  }
}

function layMountPoint(place: string, file: boolean): void {
  mkdirSync(file ? dirname(place) : place, { recursive: true, mode: 0o755 })
  if (file) writeFileSync(place, '', { mode: 0o644 })
}

/** The mount table of a hull whose skeleton lies in `run_dir`. */
export function tableFor(run_dir: string, mounts: readonly HullMount[]): string {
  // What this user cannot reach, nobody inside can: it needs no line, and mount(8) could not write one.
  const host = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')).filter(({ target }) => existsSync(target))
  return mountTable(mounts, `${run_dir}/root`, host)
}

/** Errors of the file system while a hull is laid out. */
export function layoutError(cause: unknown): LazarusError {
  const error = asLazarusError(cause)
  if (error.code !== 'internal') return error
  return new LazarusError('spawn_failed', `The root of the hull could not be laid out: ${error.message}`, { cause })
}

/** Writes the skeleton and the mount table into the run_dir. Synchronous: some thirty system calls. */
export function layHull(spec: HullLayout & Pick<HullSpec, 'run_dir'>): void {
  try {
    laySkeleton(spec.run_dir, spec)
    writeFileSync(`${spec.run_dir}/table`, tableFor(spec.run_dir, spec.mounts), { mode: 0o600 })
  } catch (cause) {
    throw layoutError(cause)
  }
}

export type HullRunOptions = Omit<RunOptions, 'cwd' | 'environment'>

/**
 * Runs a short-lived helper in a hull of its own and waits for its end. Exit code 125 with text on stderr: the hull
 * could not be made. Nothing of it survives: the end of the hull's init ends every process inside.
 */
export async function runInHull(spec: HullSpec, options: HullRunOptions = {}): Promise<RunResult> {
  layHull(spec)
  const [file, ...args] = hullArgv(spec)
  return await run(file!, args, {
    ...options,
    cwd: spec.run_dir,
    environment: { PATH: SYSTEM_PATH, ...spec.environment },
  })
}
