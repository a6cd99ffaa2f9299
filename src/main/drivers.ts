import { join } from 'node:path'
import type { IsolationLevel } from '../contract/ids.ts'
import type { Log } from '../kernel/log.ts'
import type { CellDriver } from '../ports/cell-driver.ts'
import { ownDirectory } from './own-directory.ts'
import type { Settings } from './settings.ts'

export interface Drivers {
  readonly byLevel: ReadonlyMap<IsolationLevel, CellDriver>
  close(): Promise<void>
}

/** One driver per level, over the same directory of records. */
export function createDrivers(settings: Settings, _log: Log): Drivers {
  ownDirectory(join(settings.stateDir, 'sandboxes'))
  const byLevel = new Map<IsolationLevel, CellDriver>()
  return { byLevel, close: async () => {} }
}
