import type { Checkpoint } from '../../src/contract/checkpoint.ts'
import type { DomainEvent } from '../../src/contract/event.ts'
import { type CellPolicies, cellPolicies } from '../../src/contract/mission.ts'
import type { EffectiveIsolation } from '../../src/contract/policy.ts'
import type { ExitFact, SandboxHandle } from '../../src/contract/seat.ts'
import { requestSeat, seatExited, seatSpawned } from '../../src/domain/decide-seat.ts'
import { fold, type MissionState, seatOf } from '../../src/domain/mission.ts'
import type { Moment } from '../../src/domain/revival.ts'
import type { SeatState } from '../../src/domain/seat.ts'
import { isoTime } from '../../src/kernel/clock.ts'
import { missionCreated, recorded } from '../support/missions.ts'

/** Where a history of one mission begins, and how one goes on: decide, record, fold. */
export const MISSION = '0b7c7f8e-53c7-4d2a-9d55-1f7c3f1b2a10'
export const NOON = Date.parse('2026-06-01T12:00:00.000Z')
export const DAY_MS = 86_400_000

let revivals = 0
export const at = (now_ms: number): Moment => {
  revivals += 1
  return { now_ms, revival_id: `rev_${String(revivals).padStart(8, '0')}` }
}

export const record = (state: MissionState | null, events: readonly DomainEvent[]): MissionState =>
  fold(recorded(MISSION, events, state?.version ?? 0), state)!

export const opened = (policies: Partial<CellPolicies> = {}, max_agents = 10): MissionState =>
  record(null, [missionCreated({ policies: cellPolicies.parse(policies), max_agents })])

export const exitOf = (fact: Partial<ExitFact> = {}): ExitFact => ({
  cause: 'signal',
  code: 137,
  signal: 'SIGKILL',
  died_at: isoTime(NOON),
  noticed_at: isoTime(NOON),
  noticed_by: 'test',
  ...fact,
})

export const handleOf = (agent_id: string, generation: number): SandboxHandle => ({
  level: 'level_2',
  mission_id: MISSION,
  agent_id,
  generation,
  pid: 1,
  start_time: '1',
  agent_pid: 2,
  container_id: null,
  run_dir: '/r',
})

export const EFFECTIVE: EffectiveIsolation = {
  namespaces: [],
  no_new_privs: true,
  capabilities: [],
  seccomp: true,
  nested_user_namespaces: false,
  distinct_host_uid: false,
  network: 'none',
  workspace: 'overlay',
  limits: {},
  degraded: [],
}

export const seated = (state: MissionState, agent_id = 'phoenix'): MissionState => {
  const request = { agent_id, role: 'write' as const, command: ['work'], resume_command: ['go-on'] }
  return record(state, requestSeat(state, request, 'hash'))
}

export const lives = (state: MissionState, agent_id = 'phoenix'): MissionState =>
  record(state, seatSpawned(state, handleOf(agent_id, seatOf(state, agent_id).generation), EFFECTIVE, 5))

export const running = (policies: Partial<CellPolicies> = {}): MissionState => lives(seated(opened(policies)))

export const dies = (state: MissionState, now_ms = NOON, fact: Partial<ExitFact> = {}, agent_id = 'phoenix') =>
  record(state, seatExited(state, agent_id, seatOf(state, agent_id).generation, exitOf(fact), at(now_ms)))

export const phoenix = (state: MissionState): SeatState => seatOf(state, 'phoenix')

export const checkpointAt = (sequence: number, changes: Partial<Checkpoint> = {}): Checkpoint => ({
  checkpoint_id: `ckpt_${String(sequence).padStart(24, '0')}`,
  mission_id: MISSION,
  agent_id: 'phoenix',
  generation: 1,
  sequence,
  sha256: String(sequence).padStart(64, '0'),
  manifest_sha256: 'a'.repeat(64),
  context_hash: 'b'.repeat(64),
  fingerprint: 'c'.repeat(64),
  bytes: 100,
  content_bytes: 200,
  entries: 3,
  took_ms: 4,
  created_at: isoTime(NOON + sequence * 1000),
  reason: 'test',
  paused: true,
  shares: null,
  ...changes,
})
