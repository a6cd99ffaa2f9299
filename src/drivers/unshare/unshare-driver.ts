import type { CellDriver } from '../../ports/cell-driver.ts'
import { HullDriver } from '../shared/hull-driver.ts'
import type { HullDriverDeps } from '../shared/workshop.ts'
import { unshareInner } from './inner.ts'

/** Level 1: process isolation with `unshare` and `setpriv` from util-linux. */
export const createUnshareDriver = (deps: HullDriverDeps): CellDriver =>
  new HullDriver({ level: 'level_1', argv: unshareInner, checks: async () => [] }, deps)
