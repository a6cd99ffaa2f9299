import type { Policy } from '../../contract/policy.ts'
import type { CellDriver } from '../../ports/cell-driver.ts'
import { HullDriver } from '../shared/hull-driver.ts'
import type { HullDriverDeps } from '../shared/workshop.ts'

/** An ordinary uid, as at every level, and nothing else: capabilities, nesting and the host's network stay. */
const noneInner = (_policy: Policy, command: readonly string[]): string[] => [
  'unshare',
  '--user',
  '--map-user=1000',
  '--map-group=1000',
  '--',
  ...command,
]

/**
 * For development: the same inside as at every level (paths, environment, git), and no promise. The hull is there
 * because the overlay needs it, and what it happens to hide is not to be relied on.
 */
export const createNoneDriver = (deps: HullDriverDeps): CellDriver =>
  new HullDriver({ level: 'none', argv: noneInner, checks: async () => [] }, deps)
