import type { Policy } from '../../contract/policy.ts'

/** Where the scripts have the seccomp filter. */
const SECCOMP_FD = '4'

/**
 * The second step of level 2, inside the hull: bubblewrap takes the hull's mounts as they are, so it places no mount
 * target below anything that an agent can write. The pid, ipc, uts, cgroup and network namespaces are the hull's: an
 * exec joins them.
 */
export function bwrapInner(policy: Policy, command: readonly string[]): string[] {
  return [
    'bwrap',
    '--unshare-user',
    ...(policy.nested_user_namespaces ? [] : ['--disable-userns', '--assert-userns-disabled']),
    '--uid',
    '1000',
    '--gid',
    '1000',
    ...(policy.drop_capabilities ? ['--cap-drop', 'ALL'] : []),
    '--new-session',
    '--die-with-parent',
    '--dev-bind',
    '/',
    '/',
    ...(policy.seccomp === null ? [] : ['--seccomp', SECCOMP_FD]),
    '--',
    ...command,
  ]
}
