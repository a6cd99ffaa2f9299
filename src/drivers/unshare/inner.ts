import type { Policy } from '../../contract/policy.ts'
import { noNestingArgv } from '../shared/scripts.ts'

/**
 * The second step of level 1, inside the hull: a user namespace in which every mount of the hull is locked, an
 * ordinary uid, no capabilities, no new privileges. The capabilities are kept through the first exec, or the bounding
 * set could not be emptied.
 */
export function unshareInner(policy: Policy, command: readonly string[]): string[] {
  const setpriv = [
    'setpriv',
    ...(policy.no_new_privs ? ['--no-new-privs'] : []),
    ...(policy.drop_capabilities ? ['--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all'] : []),
    '--',
    ...command,
  ]
  return [
    'unshare',
    '--user',
    '--map-user=1000',
    '--map-group=1000',
    '--keep-caps',
    '--mount',
    '--',
    ...(policy.nested_user_namespaces ? setpriv : noNestingArgv(setpriv)),
  ]
}
