import type { CellDriver } from '../../ports/cell-driver.ts'
import { HullDriver } from '../shared/hull-driver.ts'
import type { HullDriverDeps } from '../shared/workshop.ts'
import { bwrapChecks } from './checks.ts'
import { bwrapInner } from './inner.ts'

/** Level 2: bubblewrap with a minimal root and seccomp. */
export const createBwrapDriver = (deps: HullDriverDeps): CellDriver =>
  new HullDriver({ level: 'level_2', argv: bwrapInner, checks: bwrapChecks }, deps)
