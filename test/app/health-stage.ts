import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Alert } from '../../src/app/alerts.ts'
import type { Principal } from '../../src/app/application.ts'
import { HealthBoard } from '../../src/app/health-board.ts'
import { type Config, config as configSchema } from '../../src/contract/config.ts'
import type { DomainEvent } from '../../src/contract/event.ts'
import type { AgentDetail } from '../../src/contract/health.ts'
import { fold, type MissionState } from '../../src/domain/mission.ts'
import { silentLog } from '../../src/kernel/log.ts'
import type { HeartbeatStore } from '../../src/ports/heartbeat-store.ts'
import { createHeartbeatStore } from '../../src/store/heartbeat-store.ts'
import { missionCreated, recorded, seatRequested } from '../support/missions.ts'

export const MISSION = '0b9f2c52-6f0e-4d0a-9a55-0c2e6f1b7a10'
export const OPERATOR: Principal = { kind: 'operator', via: 'socket' }
export const seatAs = (agent_id: string, generation = 1, mission_id = MISSION): Principal => ({
  kind: 'seat',
  name: { mission_id, agent_id, generation },
  role: 'write',
  via: 'token',
})

const exit = { died_at: '2026-01-01T00:00:00.000Z', noticed_at: '2026-01-01T00:00:00.000Z', noticed_by: 'shim' }
const of = (agent_id: string, type: string, data: object): DomainEvent => ({ type, agent_id, data }) as DomainEvent

/** What happens to a seat, in the words of the ledger. */
export const seat = (agent_id: string) => ({
  requested: (changes: object = {}) =>
    seatRequested(agent_id, { command: ['agent'], heartbeat_interval: null, ...changes }),
  started: (generation = 1) => of(agent_id, 'spawn_started', { generation, resumed_from: null, token_hash: null }),
  spawned: (generation = 1) =>
    of(agent_id, 'seat_spawned', { generation, handle: { agent_id, generation }, effective: null, spawn_ms: 1 }),
  killed: (generation = 1) =>
    of(agent_id, 'seat_exited', { generation, exit: { cause: 'signal', code: null, signal: 'SIGKILL', ...exit } }),
  ended: (code: number, generation = 1) =>
    of(agent_id, 'seat_exited', { generation, exit: { cause: 'exit', code, signal: null, ...exit } }),
  frozen: () => of(agent_id, 'seat_paused', {}),
  thawed: () => of(agent_id, 'seat_resumed', {}),
  withdrawn: () => of(agent_id, 'withdraw_started', { force: false }),
})

/** A board over a real store, with clocks that stand until a test moves them, and missions told by events. */
export class HealthStage implements Disposable {
  readonly clock = {
    wall: 1_800_000_000_000,
    mono: 1_000_000,
    now: () => this.clock.wall,
    monotonic: () => this.clock.mono,
  }
  readonly alerts: Alert[] = []
  readonly config: Config
  readonly dir = mkdtempSync(join(tmpdir(), 'lazarus-health-'))
  heartbeats: HeartbeatStore
  board: HealthBoard
  #events: DomainEvent[] = []
  #mission: MissionState | null = null

  constructor(config: object = {}, policies: object = {}) {
    this.config = configSchema.parse({ poll_interval: 30, timeout: 300, ...config })
    this.heartbeats = this.#open()
    this.board = this.#begin()
    const created = missionCreated()
    this.tell({ ...created, data: { ...created.data, policies: { ...created.data.policies, ...policies } } })
  }

  get mission(): MissionState {
    return this.#mission!
  }

  tell(...events: readonly DomainEvent[]): void {
    this.#events.push(...events)
    const before = this.#mission
    this.#mission = fold(recorded(MISSION, this.#events))
    this.board.follow(before, this.mission)
  }

  /** A seat whose agent runs. */
  seat(agent_id: string, changes: object = {}): void {
    const { requested, started, spawned } = seat(agent_id)
    this.tell(requested(changes), started(), spawned())
  }

  pass(seconds: number): void {
    this.clock.wall += seconds * 1000
    this.clock.mono += seconds * 1000
  }

  of(agent_id: string): AgentDetail {
    return this.board.agent(OPERATOR, agent_id, () => null)
  }

  /** As a pit that starts again: what is not in the file is forgotten. */
  async restart(): Promise<void> {
    await this.heartbeats.close()
    this.heartbeats = this.#open()
    this.board = this.#begin()
  }

  #open(): HeartbeatStore {
    return createHeartbeatStore({ path: join(this.dir, 'health.db'), log: silentLog })
  }

  #begin(): HealthBoard {
    const { config, clock, heartbeats, alerts } = this
    const board = new HealthBoard({ config, clock, heartbeats, log: silentLog, alerts: (alert) => alerts.push(alert) })
    board.adopt(this.#mission ? [this.#mission] : [])
    return board
  }

  [Symbol.dispose](): void {
    void this.heartbeats.close()
    rmSync(this.dir, { recursive: true, force: true })
  }
}
