import { HULL_FAILED } from '../../linux/hull.ts'

/**
 * The shell programs of levels 1 and 2. Fixed text: whatever comes from a user is an argument or a variable, never
 * part of a program. Descriptors: 3 the report to the pit, 4 the seccomp filter, 5 the word of the pit.
 */

/** Exit code of a seat whose pit went away before it let the agent start. */
const NEVER_STARTED = HULL_FAILED

/**
 * Sets `$rlimits` ("name:value …") on the shell that runs it. ulimit counts files in blocks of 512 bytes; dash names
 * the process limit -p, other shells -u.
 */
const SET_LIMITS = `for limit in $rlimits; do
  value=\${limit#*:}
  case $limit in
    nproc:*) ulimit -u "$value" 2>/dev/null || ulimit -p "$value" ;;
    nofile:*) ulimit -n "$value" ;;
    fsize:*) ulimit -f "$((value / 512))" ;;
    core:*) ulimit -c "$((value / 512))" ;;
  esac || fail "the limit $limit could not be set"
done`

/** Into the cgroup of the sandbox first. Arguments: <cgroup> program… */
export const IN_CGROUP_SCRIPT = `: lazarus exec
echo 0 >"$1/cgroup.procs" || exit ${NEVER_STARTED}
shift
exec "$@"
`

/** Inside the namespaces of the hull: the same limits as the seat. Arguments: <rlimits> inner step… */
export const ENTER_SCRIPT = `: lazarus enter
rlimits=$1
shift
fail() { echo "$1" >&3; exit ${NEVER_STARTED}; }
${SET_LIMITS}
exec "$@"
`

/** Level 1 without nested user namespaces: the limit is written before the capabilities go. Arguments: program… */
export const NO_NESTING_SCRIPT = `: lazarus
echo 0 >/proc/sys/user/max_user_namespaces || exit ${NEVER_STARTED}
exec "$@"
`

/**
 * The last step, already confined: reports, waits for the word of the pit (mode "gate") that measured it meanwhile,
 * closes every descriptor but 0 to 2, sets the environment, goes to the directory and becomes the command. A missing
 * program ends with 127, a missing directory with 126. Values of the environment travel as LAZARUS_ENV_<n> ("NAME=value"):
 * they stand on no command line, and nothing on the way here is steered by them.
 * Arguments: <mode> <directory> <number of variables> command…
 */
export const SEAT_SCRIPT = `: lazarus seat
mode=$1 directory=$2 _lazarus_count=$3 _lazarus_n=0
shift 3
umask 022
echo ready >&3
if [ "$mode" = gate ]; then
  read -r word <&5 && [ "$word" = go ] || exit ${NEVER_STARTED}
fi
exec 3>&- 4<&- 5<&-
cd -- "$directory" || exit 126
unset PATH PWD OLDPWD
while [ "$_lazarus_n" -lt "$_lazarus_count" ]; do
  eval "export \\"\\$LAZARUS_ENV_$_lazarus_n\\""
  unset "LAZARUS_ENV_$_lazarus_n"
  _lazarus_n=$((_lazarus_n + 1))
done
exec "$@"
`

const script = (text: string, name: string, ...args: readonly string[]): string[] => [
  '/bin/sh',
  '-c',
  text,
  name,
  ...args,
]

export const inCgroupArgv = (cgroup: string | null, argv: readonly string[]): string[] =>
  cgroup === null ? [...argv] : script(IN_CGROUP_SCRIPT, 'lazarus-exec', cgroup, ...argv)

export const enterArgv = (rlimits: string, inner: readonly string[]): string[] =>
  script(ENTER_SCRIPT, 'lazarus-enter', rlimits, ...inner)

export const noNestingArgv = (argv: readonly string[]): string[] => script(NO_NESTING_SCRIPT, 'lazarus', ...argv)

export const seatArgv = (mode: 'gate' | 'tell', cwd: string, variables: number, command: readonly string[]): string[] =>
  script(SEAT_SCRIPT, 'lazarus-seat', mode, cwd, String(variables), ...command)

/** The environment in the form that SEAT_SCRIPT takes. */
export function packEnvironment(environment: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  return Object.fromEntries(entries.map((entry, n) => [`LAZARUS_ENV_${n}`, entry]))
}
