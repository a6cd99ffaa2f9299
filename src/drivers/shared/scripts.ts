import { END_FD, HULL_FAILED, SET_LIMITS } from '../../linux/hull.ts'

/**
 * The shell programs of levels 1 and 2. Fixed text: whatever comes from a user is an argument or a variable, never
 * part of a program. Descriptors: 3 the report to the pit, 4 the seccomp filter, 5 the reading end of the log, 6 the
 * mount table, 7 stderr of the agent while ours is something else, 8 the exit record.
 */

/** Exit code of a seat whose pit went away before it let the agent start. */
const NEVER_STARTED = HULL_FAILED

/**
 * Outlives the pit: keeps the log bounded, waits for the hull, leaves the exit record. The record is made at the start
 * with an empty line, so that a disk which is full at the end has room for the rest; the init of the hull adds the
 * exit code (none when it was killed), the shim the boot id and the newline that makes it whole. No process is started
 * between death and record but those that finish the log. The logger gives up its copies of the writing end for good
 * (exec): they would keep the end of file from it. It loses lines when the disk is full, but never blocks the agent.
 * Arguments: <exit record> <log> <bytes per log file> <log files> <cgroup or ''> hull…
 */
export const SHIM_SCRIPT = `: lazarus shim
record=$1 log=$2 max=$3 files=$4 cgroup=$5
shift 5
size() { if [ -e "$log" ]; then wc -c <"$log"; else echo 0; fi; }
rotate() {
  last=$((files - 1))
  if [ "$last" -lt 1 ]; then : >"$log"; return; fi
  while [ "$last" -gt 1 ]; do
    older=$log.$last last=$((last - 1))
    [ ! -e "$log.$last" ] || mv -f "$log.$last" "$older"
  done
  mv -f "$log" "$log.1"
}
keep_log() {
  while :; do
    room=$((max - $(size)))
    if [ "$room" -le 0 ]; then
      rotate || cat
    elif stdbuf -o0 head -c "$room" >>"$log"; then
      [ "$(size)" -ge "$max" ] || return
    else
      [ "$(head -c 65536 | wc -c)" -gt 0 ] || return
    fi
  done
}
umask 077
exec ${END_FD}>"$record"
echo >&${END_FD}
(
  exec <&5 >/dev/null 2>&1 3>&- 4>&- 5<&- 6<&- ${END_FD}>&-
  keep_log
) &
exec 5<&- 7>&2 2>/dev/null
(
  exec 2>&3
  [ -z "$cgroup" ] || echo 0 >"$cgroup/cgroup.procs" || exit ${NEVER_STARTED}
  exec "$@"
)
exec >/dev/null 3>&- 4>&- 6<&- 7>&-
wait
read -r boot </proc/sys/kernel/random/boot_id
echo " $boot" >&${END_FD}
`

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
  read -r word <&3 && [ "$word" = go ] || exit ${NEVER_STARTED}
fi
exec 3>&- 4<&- 6<&-
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

export interface ShimArgs {
  readonly exit_record: string
  readonly log_path: string
  readonly log: { readonly max_bytes: number; readonly files: number }
  readonly cgroup: string | null
}

export const shimArgv = (args: ShimArgs, hull: readonly string[]): string[] =>
  script(
    SHIM_SCRIPT,
    'lazarus-shim',
    args.exit_record,
    args.log_path,
    String(args.log.max_bytes),
    String(args.log.files),
    args.cgroup ?? '',
    ...hull,
  )

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
