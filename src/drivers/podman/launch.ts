import type { LimitName, Limits } from '../../contract/policy.ts'

/**
 * What runs first in every process that we start in a container, as a constant: values arrive as arguments. It drops
 * the variables that the image and Podman added, sets rlimits (the API ignores Ulimits when rootless; one that cannot be
 * set is found by the measurement), enters the directory and becomes the command: 126 without the directory or when the command is no program, 127 when there is
 * none. Arguments: directory, gate, "name value" pairs, --, variables to drop, --, command.
 */
const SCRIPT = `
dir=$1 gate=$2; shift 2
while [ "$1" != -- ]; do
  case $1 in
    locks) ulimit -w "$2" || ulimit -x "$2" ;;
    nproc) ulimit -u "$2" || ulimit -p "$2" ;;
    *) ulimit "-$1" "$2" ;;
  esac 2>/dev/null
  shift 2
done
shift
if [ "$gate" = gate ]; then kill -STOP $$; fi
cd -- "$dir" || exit 126
while [ "$1" != -- ]; do unset -v "$1"; shift; done
shift
unset -v dir gate PWD OLDPWD SHLVL
exec "$@"
`

export interface Launch {
  readonly command: readonly string[]
  readonly cwd: string
  readonly limits: Limits
  /** Whether a cgroup bounds memory; else each process is bounded by rlimit, as far as that goes. */
  readonly memory_by_cgroup: boolean
  /** Names of variables that the container has and the command must not see. */
  readonly drop: readonly string[]
  /** Stops itself before it becomes the command, until SIGCONT: what is measured cannot have ended yet. */
  readonly gate: boolean
  /** Marks every process that descends from this one, see exec-tree.ts. */
  readonly mark: number | null
}

const KIBIBYTE = 1024
/** POSIX: ulimit -f counts blocks of 512 bytes. */
const BLOCK = 512

/** Hard and soft rlimits as options of ulimit. */
function rlimits(launch: Launch): string[] {
  const { limits } = launch
  const flags: [string, number | undefined][] = [
    ['c', 0],
    ['n', limits.nofile],
    ['nproc', limits.pids],
    ['f', limits.disk && Math.floor(limits.disk / BLOCK)],
    ['d', launch.memory_by_cgroup ? undefined : limits.memory && Math.floor(limits.memory / KIBIBYTE)],
    ['locks', launch.mark ?? undefined],
  ]
  return flags.flatMap(([flag, value]) => (value === undefined ? [] : [flag, String(value)]))
}

export const CGROUP_LIMITS = ['cpu', 'memory', 'pids'] as const satisfies readonly LimitName[]

export function launchArguments(launch: Launch): string[] {
  const gate = launch.gate ? 'gate' : 'open'
  const script = ['/bin/sh', '-c', SCRIPT, 'lazarus', launch.cwd, gate]
  return [...script, ...rlimits(launch), '--', ...launch.drop, '--', ...launch.command]
}

/** What Podman itself adds to the environment of a container, beside the image's own; proxies come from its own. */
const PROXIES = ['http_proxy', 'https_proxy', 'ftp_proxy', 'no_proxy']
const OF_PODMAN = [
  'container',
  'HOSTNAME',
  'TERM',
  'HOME',
  'PATH',
  ...PROXIES,
  ...PROXIES.map((name) => name.toUpperCase()),
]
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Variables of the container (`NAME=value` lines) that a command with `environment` must not see. */
export function toDrop(container: readonly string[], environment: Readonly<Record<string, string>>): string[] {
  const names = container.map((line) => line.slice(0, line.indexOf('=')))
  return [...new Set([...OF_PODMAN, ...names])].filter((name) => !(name in environment) && VARIABLE.test(name)).sort()
}

/** Variables of the container that the launcher does not know to drop: somebody configured Podman to add them. */
export function unexpected(
  container: readonly string[],
  image: readonly string[],
  environment: Readonly<Record<string, string>>,
): string[] {
  const known = new Set([...Object.keys(environment), ...toDrop(image, environment)])
  return container.map((line) => line.slice(0, line.indexOf('='))).filter((name) => !known.has(name))
}

export const environmentLines = (environment: Readonly<Record<string, string>>): string[] =>
  Object.entries(environment).map(([name, value]) => `${name}=${value}`)

const LAUNCHER = `/bin/sh\0-c\0${SCRIPT}\0`

/** Whether a command line (as /proc has it, with NULs) is still ours and not yet the command's. */
export const isLauncher = (line: string): boolean => line.startsWith(LAUNCHER.slice(0, 64))
