import type { LevelReport } from '../../contract/host.ts'
import type { CellDriver } from '../../ports/cell-driver.ts'
import type { Containers, PodmanDeps } from './containers.ts'

export async function probePodman(
  _deps: PodmanDeps,
  _driver: CellDriver,
  _containers: Containers,
  _abort: AbortSignal,
): Promise<LevelReport> {
  return { level: 'level_3', status: 'ready', reason: null, remedy: null, effective: null, checks: [] }
}
