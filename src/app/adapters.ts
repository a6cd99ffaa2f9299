import type { Config } from '../contract/config.ts'
import type { HostReport } from '../contract/host.ts'
import type { IsolationLevel } from '../contract/ids.ts'
import type { PitSelf } from '../contract/pit.ts'
import type { Policy } from '../contract/policy.ts'
import type { Clock, Entropy } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { CellDirectory } from '../ports/cell-directory.ts'
import type { CellDoor } from '../ports/cell-door.ts'
import type { CellDriver } from '../ports/cell-driver.ts'
import type { CheckpointStore } from '../ports/checkpoint-store.ts'
import type { EventLog } from '../ports/event-log.ts'
import type { Gateway } from '../ports/gateway.ts'
import type { HeartbeatStore } from '../ports/heartbeat-store.ts'
import type { HomeWatch } from '../ports/home-watch.ts'
import type { Leftovers } from '../ports/leftovers.ts'
import type { RunDirs } from '../ports/run-dirs.ts'
import type { SeatLogs } from '../ports/seat-logs.ts'
import type { SeatVault } from '../ports/seat-vault.ts'
import type { Workspace } from '../ports/workspace.ts'
import type { Alert } from './alerts.ts'

/** What `main/` composes and every use case may need. */
export interface Adapters {
  readonly ledger: EventLog
  readonly cells: CellDirectory
  readonly drivers: ReadonlyMap<IsolationLevel, CellDriver>
  readonly policies: ReadonlyMap<IsolationLevel, Policy>
  readonly workspace: Workspace
  readonly checkpoints: CheckpointStore
  readonly heartbeats: HeartbeatStore
  readonly gateway: Gateway
  readonly homes: HomeWatch
  readonly door: CellDoor
  readonly vault: SeatVault
  readonly runDirs: RunDirs
  readonly seatLogs: SeatLogs
  readonly leftovers: Leftovers
  readonly clock: Clock
  readonly entropy: Entropy
  readonly log: Log
  readonly config: Config
  /** Everything about the host but its levels. */
  readonly hostFacts: () => Promise<Omit<HostReport, 'levels' | 'probed_at'>>
  /** This process, as it tells of itself; where it listens once it does. */
  readonly self: () => PitSelf
  readonly operatorTokenHash: string
  /** Paths of the pit itself that no sandbox may see. */
  readonly ownPaths: readonly string[]
  /** Told of every alert, beside the log. */
  readonly alerts?: (alert: Alert) => void
  /** Called before each step; tests make it throw. */
  readonly faults?: (point: string) => void
}
