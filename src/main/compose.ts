import { join } from 'node:path'
import type { Adapters } from '../app/adapters.ts'
import { createPit, type Pit } from '../app/pit.ts'
import { createHttpGateway } from '../gateways/http-gateway.ts'
import { createHomeWatch } from '../homes/home-watch.ts'
import { UnixCellDoors } from '../http/cell-door.ts'
import type { Listening } from '../http/options.ts'
import { createServer } from '../http/server.ts'
import { isoTime } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { EventLog, Pulse } from '../ports/event-log.ts'
import { createCellDirectory } from '../store/cell-directory.ts'
import { createHeartbeatStore } from '../store/heartbeat-store.ts'
import { createLeftovers } from '../store/leftovers.ts'
import { createRunDirs } from '../store/run-dirs.ts'
import { createSeatLogs } from '../store/seat-logs.ts'
import { createSeatVault } from '../store/seat-vault.ts'
import { createSqliteLog } from '../store/sqlite-log.ts'
import { createWorktrees } from '../workspace/worktrees.ts'
import { systemClock, systemEntropy } from './chance.ts'
import { createDrivers } from './drivers.ts'
import { readHostFacts } from './host.ts'
import { operatorTokenHash } from './operator-token.ts'
import { ownDirectory } from './own-directory.ts'
import { readPolicies } from './policies.ts'
import type { Settings } from './settings.ts'
import { VERSION } from './version.ts'

export interface RunningPit extends AsyncDisposable, Pulse {
  readonly pit: Pit
  readonly started_at: string
  readonly listening: Listening
}

/** Builds every adapter and starts the pit. The ledger comes first: its lock keeps a second pit away from the rest. */
export async function compose(settings: Settings, log: Log, faults?: (point: string) => void): Promise<RunningPit> {
  const stateDir = ownDirectory(settings.stateDir)
  const ledger = createSqliteLog({ path: join(stateDir, 'ledger.db'), clock: systemClock })
  try {
    return await start(settings, stateDir, ledger, log, faults)
  } catch (error) {
    await ledger.close()
    throw error
  }
}

async function start(
  settings: Settings,
  stateDir: string,
  ledger: EventLog & Pulse,
  log: Log,
  faults?: (point: string) => void,
): Promise<RunningPit> {
  const missionsPath = ownDirectory(settings.missionsPath)
  const { config } = settings
  const shared = { clock: systemClock, entropy: systemEntropy, log }
  const homes = createHomeWatch({
    ...shared,
    globs: config.homes,
    exempt: [stateDir, missionsPath, settings.podmanStore],
    sealsDir: join(stateDir, 'seals'),
  })
  const started_at = isoTime(systemClock.now())
  let where: Listening | null = null
  const policies = readPolicies(settings.packageDir)
  const drivers = createDrivers({ ...settings, stateDir }, policies, log, faults)
  const doors = new UnixCellDoors({ directory: join(stateDir, 'doors'), entropy: systemEntropy })
  const heartbeats = createHeartbeatStore({ path: join(stateDir, 'health.db'), log })
  const adapters: Adapters = {
    ...shared,
    ledger,
    homes,
    config,
    drivers: drivers.byLevel,
    door: doors,
    policies,
    cells: createCellDirectory({ missionsPath, clock: systemClock, ledger }),
    ...createWorktrees({
      ...shared,
      stateDir,
      missionsPath,
      refuseHome: (path) => homes.refuseHome(path),
      retention: config.retention,
      remoteEnvironment: settings.remoteEnvironment,
      ...(faults ? { faults } : {}),
    }),
    heartbeats,
    gateway: createHttpGateway({ clock: systemClock }),
    vault: createSeatVault({ dir: join(stateDir, 'vault') }),
    runDirs: createRunDirs(join(stateDir, 'sandboxes')),
    seatLogs: createSeatLogs(),
    leftovers: createLeftovers(
      ['doors', 'sandboxes', 'vault'].map((name) => join(stateDir, name)),
      missionsPath,
      systemClock,
    ),
    hostFacts: cached(() => readHostFacts(settings)),
    self: () => ({
      pid: process.pid,
      version: VERSION,
      started_at,
      socket: where?.socket ?? null,
      url: where?.url ?? null,
      state_dir: stateDir,
      missions_path: missionsPath,
      config: settings.configPath,
    }),
    operatorTokenHash: operatorTokenHash(stateDir, systemEntropy),
    ownPaths: [
      stateDir,
      missionsPath,
      settings.podmanStore,
      ...(settings.operatorHome === null ? [] : [settings.operatorHome]),
    ],
    ...(faults ? { faults } : {}),
  }
  const pit = createPit(adapters)
  const server = await createServer({
    ...shared,
    app: pit,
    cellDoors: doors,
    state_dir: stateDir,
    listen: settings.listen,
    version: VERSION,
  })
  const listening = await server.listen()
  where = listening
  return {
    pit,
    started_at,
    listening,
    pulse: () => ledger.pulse(),
    async [Symbol.asyncDispose]() {
      await server.close()
      await pit[Symbol.asyncDispose]()
      await drivers.close()
      await heartbeats.close()
      await ledger.close()
    },
  }
}

function cached<T>(load: () => Promise<T>): () => Promise<T> {
  let value: Promise<T> | null = null
  return () => (value ??= load())
}
