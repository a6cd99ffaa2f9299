import { existsSync, lstatSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { asLazarusError, LazarusError } from '../kernel/errors.ts'
import { type HullMount, mountTable } from './mount-table.ts'
import { isWithin, parseMountinfo } from './mountinfo.ts'
import { type RunOptions, type RunResult, run } from './run.ts'

/**
 * The hull: namespaces and mounts around a command, made with util-linux alone (`unshare`, `mount`, `pivot_root`).
 * Levels 1 and 2 start their sandboxes in one; the airlock is one. Everything is data until `runInHull` or a shim
 * starts it.
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

/** Exit code of a hull that could not be made; what is wrong stands on the report descriptor. */
export const HULL_FAILED = 125

/**
 * Sets `$rlimits` ("name:value …") on the shell that runs it. ulimit counts files in blocks of 512 bytes; dash names
 * the process limit -p, other shells -u.
 */
export const SET_LIMITS = `for limit in $rlimits; do
  value=\${limit#*:}
  case $limit in
    nproc:*) ulimit -u "$value" 2>/dev/null || ulimit -p "$value" ;;
    nofile:*) ulimit -n "$value" ;;
    fsize:*) ulimit -f "$((value / 512))" ;;
    core:*) ulimit -c "$((value / 512))" ;;
  esac || fail "the limit $limit could not be set"
done`

/** Where a hull tells its exit code, when asked to; closed for what runs inside. */
export const END_FD = 8

/**
 * Fixed text, input only as arguments: <report fd> <end fd> <mount table> <bring lo up?>
 * <rlimits> command…
 * With a report descriptor of its own, stderr of the command is descriptor 7.
 * It is pid 1 of its pid namespace and stays there: it reaps orphans, and its end ends everything inside. What a
 * shell says about a child that was killed is not for the log, so its own stderr is closed at the end. A <end fd>
 * other than "-" is told the exit code: unshare makes 1 of an init that was killed, so its own code proves nothing.
 */
const HULL_SCRIPT = `: lazarus hull
report=$1 end=$2 table=$3 lo=$4 rlimits=$5
shift 5
fail() { echo "hull: $1" >&"$report"; exit ${HULL_FAILED}; }
read -r pid _ </proc/self/stat && [ "$report" = 2 ] || echo "init $pid" >&"$report"
[ "$lo" = no ] || ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null &
mount -a -T "$table" 2>&"$report" || fail 'the mount table could not be applied whole'
wait
cd root && pivot_root . .old 2>&"$report" && umount -l /.old 2>&"$report" || fail 'the new root could not be entered'
${SET_LIMITS}
[ "$report" != 2 ] || exec 7>&2
exec 2>/dev/null
(
  exec 2>&7 7>&- ${END_FD}>&-
  exec "$@"
)
code=$?
[ "$end" = - ] || printf %s "$code" >&"$end"
exit "$code"
`

export const rlimitWords = (rlimits: HullSpec['rlimits']): string =>
  Object.entries(rlimits)
    .map(([name, value]) => `${name}:${Math.floor(value)}`)
    .join(' ')

/** Where a hull reads its mount table and reports to; by default the file that layHull wrote, and stderr. */
export interface HullPorts {
  readonly table: string
  readonly report_fd: number
  /** Whether END_FD is open and waits for the exit code. */
  readonly tell_end: boolean
}

/**
 * The argument vector that makes the hull; runs with `run_dir` as working directory and the spec's environment.
 * On a report descriptor other than 2 it first tells "init <host pid>".
 */
export function hullArgv(
  spec: HullSpec,
  ports: HullPorts = { table: 'table', report_fd: 2, tell_end: false },
): string[] {
  const namespaces = ['--user', '--map-root-user', '--mount', '--pid', '--ipc', '--uts', '--cgroup', '--fork']
  return [
    'unshare',
    ...namespaces,
    ...(spec.network === 'host' ? [] : ['--net']),
    '--kill-child',
    '--propagation',
    'private',
    '/bin/sh',
    '-c',
    HULL_SCRIPT,
    'lazarus-hull',
    String(ports.report_fd),
    ports.tell_end ? String(END_FD) : '-',
    ports.table,
    spec.network === 'own' ? 'lo' : 'no',
    rlimitWords(spec.rlimits),
    ...spec.command,
  ]
}

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
