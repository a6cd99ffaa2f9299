import type { ScanReport } from '../contract/cell.ts'
import type { RecordedEvent } from '../contract/event.ts'
import type { MissionState } from '../domain/mission.ts'

/** Writes the views of one mission as the files of `contract/cell.ts`, atomically, mode 0600. */
export interface CellDirectory {
  path(mission_id: string): string
  logPath(mission_id: string, agent_id: string): string
  /** Resolves to whether it is new; one that was there may be somebody's own. */
  lay(mission_id: string): Promise<boolean>
  /** Brings files and `logs/mission.log` up to the given state; called with the events since the last call. */
  write(state: MissionState, events: readonly RecordedEvent[]): Promise<void>
  heartbeat(state: MissionState, at_ms: number): Promise<void>
  /** Keeps only what the archive keeps: cell.json, config, meta, logs, artifacts, the trusted repository, record.json. Resolves to the record's path. */
  reduceToRecord(state: MissionState): Promise<string>
  remove(mission_id: string): Promise<void>
  scan(known: ReadonlySet<string>, now_ms: number): Promise<ScanReport>
}
