import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CELL_FOLDERS, type ScanReport } from '../contract/cell.ts'
import type { RecordedEvent } from '../contract/event.ts'
import { agentId, missionId } from '../contract/ids.ts'
import type { MissionState } from '../domain/mission.ts'
import type { Clock } from '../kernel/clock.ts'
import { asLazarusError, LazarusError } from '../kernel/errors.ts'
import type { CellDirectory } from '../ports/cell-directory.ts'
import type { EventLog } from '../ports/event-log.ts'
import { layDirectory } from './half-laid.ts'
import { MissionFiles } from './mission-files.ts'
import { writeRecord } from './mission-record.ts'
import { removeTree } from './remove-tree.ts'
import { scanCells } from './scan-cells.ts'

export interface CellDirectoryOptions {
  readonly missionsPath: string
  readonly clock: Clock
  /** Where a mission.log that fell behind is made whole from. */
  readonly ledger: Pick<EventLog, 'read'>
}

/** What an archive does without. */
const NOT_ARCHIVED = ['worktree', 'agents', 'tasks', 'state', 'checkpoints']

class Cells implements CellDirectory {
  readonly #options: CellDirectoryOptions
  readonly #missions = new Map<string, MissionFiles>()

  constructor(options: CellDirectoryOptions) {
    this.#options = options
  }

  path(mission_id: string): string {
    // Ids become paths: nothing but an id gets that far.
    if (!missionId.safeParse(mission_id).success) {
      throw new LazarusError('invalid_request', `${JSON.stringify(mission_id)} is no mission id`)
    }
    return join(this.#options.missionsPath, mission_id)
  }

  logPath(mission_id: string, agent_id: string): string {
    if (!agentId.safeParse(agent_id).success) {
      throw new LazarusError('invalid_request', `${JSON.stringify(agent_id)} is no agent id`)
    }
    return join(this.path(mission_id), 'logs', `${agent_id}.log`)
  }

  async lay(mission_id: string): Promise<boolean> {
    const path = this.path(mission_id)
    try {
      const isNew = await layDirectory(this.#options.missionsPath, mission_id)
      for (const folder of CELL_FOLDERS) await mkdir(join(path, folder), { recursive: true, mode: 0o700 })
      return isNew
    } catch (error) {
      throw asLazarusError(error)
    }
  }

  async write(state: MissionState, events: readonly RecordedEvent[]): Promise<void> {
    try {
      await this.#files(state.mission_id).write(state, events, this.#options.clock.now())
    } catch (error) {
      throw asLazarusError(error)
    }
  }

  async heartbeat(state: MissionState, at_ms: number): Promise<void> {
    await this.#files(state.mission_id).heartbeat(state, at_ms)
  }

  async reduceToRecord(state: MissionState): Promise<string> {
    const path = this.path(state.mission_id)
    await this.#requireNoLayers(state.mission_id)
    try {
      await this.#files(state.mission_id).writeLog(state.mission_id)
      const record = await writeRecord(path, state, this.#options.clock.now())
      for (const folder of NOT_ARCHIVED) await removeTree(join(path, folder))
      return record
    } catch (error) {
      throw asLazarusError(error)
    }
  }

  async remove(mission_id: string): Promise<void> {
    const path = this.path(mission_id)
    await this.#requireNoLayers(mission_id)
    this.#missions.delete(mission_id)
    await removeTree(path)
  }

  scan(known: ReadonlySet<string>, now_ms: number): Promise<ScanReport> {
    return scanCells(this.#options.missionsPath, known, now_ms)
  }

  /** Layers are deleted through the airlock by those who made them, and only after their work was saved. */
  async #requireNoLayers(mission_id: string): Promise<void> {
    const worktree = join(this.path(mission_id), 'worktree')
    const layers = await readdir(worktree).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw asLazarusError(error)
    })
    if (layers.length === 0) return
    throw new LazarusError('conflict', `${worktree} still holds ${layers.slice(0, 5).join(', ')}`, {
      remedy: 'Withdraw the seats first: lazarus seat rm <mission> <agent>',
      details: { mission_id, layers: layers.slice(0, 100) },
    })
  }

  #files(mission_id: string): MissionFiles {
    const files = this.#missions.get(mission_id) ?? new MissionFiles(this.path(mission_id), this.#options.ledger)
    this.#missions.set(mission_id, files)
    return files
  }
}

export const createCellDirectory = (options: CellDirectoryOptions): CellDirectory => new Cells(options)
