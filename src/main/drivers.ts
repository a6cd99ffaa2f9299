import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { IsolationLevel } from '../contract/ids.ts'
import type { Policy } from '../contract/policy.ts'
import { createBwrapDriver } from '../drivers/bwrap/bwrap-driver.ts'
import { createNoneDriver } from '../drivers/none/none-driver.ts'
import { createPodmanDriver } from '../drivers/podman/driver.ts'
import { readCellTag } from '../drivers/podman/images.ts'
import { createUnshareDriver } from '../drivers/unshare/unshare-driver.ts'
import type { Log } from '../kernel/log.ts'
import { openCgroups } from '../linux/cgroup.ts'
import type { CellDriver } from '../ports/cell-driver.ts'
import { systemClock } from './chance.ts'
import { ownDirectory } from './own-directory.ts'
import type { Settings } from './settings.ts'

export interface Drivers {
  readonly byLevel: ReadonlyMap<IsolationLevel, CellDriver>
  close(): Promise<void>
}

/** One driver per level, each with records of its own below the state directory. */
export function createDrivers(
  settings: Settings,
  policies: ReadonlyMap<IsolationLevel, Policy>,
  log: Log,
  faults: (point: string) => void = () => {},
): Drivers {
  const policiesDir = join(settings.packageDir, 'policies')
  const root = (level: IsolationLevel) => ownDirectory(join(settings.stateDir, 'drivers', level))
  const shared = { policies_dir: policiesDir, cgroups: openCgroups(), clock: systemClock, log, faults }
  const hull = (level: 'level_1' | 'level_2' | 'none') => ({
    ...shared,
    root: root(level),
    policy: policies.get(level)!,
  })
  const podman = createPodmanDriver({
    root: root('level_3'),
    stateKey: createHash('sha256').update(settings.stateDir).digest('hex').slice(0, 12),
    socket: settings.podmanSocket,
    runtimeDir: ownDirectory(settings.runtimeDir),
    environment: settings.podmanEnvironment,
    clock: systemClock,
    log,
    faults,
    cellTag: () => readCellTag(join(settings.packageDir, 'images', 'cell', 'tag')),
    policiesDir,
    policy: policies.get('level_3')!,
  })
  const drivers = [
    createUnshareDriver(hull('level_1')),
    createBwrapDriver(hull('level_2')),
    podman,
    ...(settings.config.allow_level_none ? [createNoneDriver(hull('none'))] : []),
  ]
  return { byLevel: new Map(drivers.map((driver) => [driver.level, driver])), close: async () => podman.close() }
}
