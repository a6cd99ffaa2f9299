import type { Check } from '../../contract/host.ts'
import type { Policy, PromiseName } from '../../contract/policy.ts'

interface Attack {
  readonly name: string
  readonly promise: PromiseName | null
  /** Shell text; $1 is a fake home with a file "canary", $2 the pid of the pit. True when the attack succeeds. */
  readonly script: string
  readonly success: string
}

const homes = (name: string, script: string): Attack => ({
  name,
  promise: 'homes',
  script,
  success: 'the canary of a home was reached',
})

const ATTACKS: readonly Attack[] = [
  homes('home_read', 'cat "$1/canary"'),
  homes('home_list', '[ -n "$(ls -A "$1")" ]'),
  homes('home_write', 'echo x >"$1/canary"'),
  homes('home_by_proc', 'cat "/proc/1/root$1/canary" || cat "/proc/$PPID/root$1/canary"'),
  homes('home_by_symlink', 'ln -s "$1" /tmp/.door; cat /tmp/.door/canary'),
  homes('home_by_umount', 'umount "$1"; umount -l "$1/.."; umount -l /; cat "$1/canary"'),
  homes('home_by_nesting', 'unshare --user --map-root-user --mount sh -c \'umount -l "$1"; cat "$1/canary"\' sh "$1"'),
  {
    name: 'host_write',
    promise: 'namespaces.mount',
    script: 'touch /usr/.x || touch /etc/.x || touch /.x',
    success: 'a system directory is writable',
  },
  { name: 'host_processes', promise: 'namespaces.pid', script: 'kill -0 "$2"', success: 'the pit can be signalled' },
  {
    name: 'init_environment',
    promise: 'namespaces.user',
    script: 'cat /proc/1/environ',
    success: 'the environment of the init is readable',
  },
  {
    name: 'setuid',
    promise: 'no_new_privs',
    script: '! grep -q " /usr [^-]*nosuid" /proc/self/mountinfo',
    success: 'setuid programs of the host keep their bit',
  },
]

const NESTING: Attack = {
  name: 'nested_user_namespace',
  promise: 'nested_user_namespaces',
  script: 'unshare --user true',
  success: 'a user namespace could be made',
}

/** Not an attack: without a loopback interface of its own many test suites fail. */
const LOOPBACK: Attack = {
  name: 'loopback',
  promise: null,
  script: '! grep -q 127.0.0.1 /proc/net/fib_trie',
  success: 'the loopback interface is down: install iproute2',
}

export const attacksFor = (policy: Policy): readonly Attack[] => [
  ...ATTACKS,
  ...(policy.nested_user_namespaces ? [] : [NESTING]),
  ...(policy.network === 'host' ? [] : [LOOPBACK]),
]

/** One program that tries them all and prints a line each. */
export const attackScript = (attacks: readonly Attack[]): string =>
  attacks
    .map(
      ({ name, script }) =>
        `if (${script}) >/dev/null 2>&1 </dev/null; then echo "${name} open"; else echo "${name} shut"; fi`,
    )
    .join('\n')

/** An attack without a line is one that could not be tried, and that counts as open. */
export function attackChecks(attacks: readonly Attack[], output: string): Check[] {
  const lines = new Set(output.split('\n'))
  return attacks.map(({ name, promise, success }) => {
    const ok = lines.has(`${name} shut`)
    const message = ok ? 'refused, as it should be' : lines.has(`${name} open`) ? success : 'could not be tried'
    return {
      name,
      ok,
      message,
      remedy: ok ? null : 'Report this host: the sandbox does not keep its promise here.',
      promise,
    }
  })
}
