import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DomainEvent, RecordedEvent } from '../../src/contract/event.ts'
import { cellPolicies } from '../../src/contract/mission.ts'
import * as missions from '../../src/domain/decide-mission.ts'
import * as seats from '../../src/domain/decide-seat.ts'
import { evolve, fold, type MissionState } from '../../src/domain/mission.ts'
import { isTaken } from '../../src/domain/seat.ts'
import { LazarusError } from '../../src/kernel/errors.ts'
import { policyOf } from '../support/policies.ts'

const MISSION = '0b7c7f8e-53c7-4d2a-9d55-1f7c3f1b2a10'
const AT = '2026-01-01T00:00:00.000Z'
const MOMENT = { now_ms: Date.parse('2026-01-01T00:00:10.000Z'), revival_id: 'rev_00000001' }
const EXIT = { cause: 'signal', code: 137, signal: 'SIGKILL', died_at: AT, noticed_at: AT, noticed_by: 'test' } as const
const REQUEST = { agent_id: 'builder', role: 'write' } as const
const NOTHING = { processes: 0, containers: 0, mounts: 0 }
const HOMES = { checked: 1, entries: 1, unreadable: 0, changed: [] }

const CREATED: DomainEvent = {
  type: 'mission_created',
  agent_id: null,
  data: {
    mission_name: 'm',
    isolation_level: 'level_2',
    base: { repo: null, repository_key: null, ref: null, commit: null },
    workspace: 'overlay',
    max_agents: 2,
    timeout: 3600,
    policies: cellPolicies.parse({}),
    policy: policyOf('level_2'),
    created_by: 'operator',
    directory: '/m',
  },
}

/** Given a state, when these events are recorded, then this state. */
function record(state: MissionState | null, events: readonly DomainEvent[]): MissionState {
  const from = state?.version ?? 0
  return fold(
    events.map(
      (event, i) =>
        ({ ...event, seq: from + i + 1, version: from + i + 1, at: AT, mission_id: MISSION }) as RecordedEvent,
    ),
    state,
  )!
}

const handleOf = (agent_id: string, generation: number) =>
  ({
    level: 'level_2',
    mission_id: MISSION,
    agent_id,
    generation,
    pid: 1,
    start_time: '1',
    agent_pid: 2,
    container_id: null,
    run_dir: '/r',
  }) as const
const EFFECTIVE = {
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
} as const

const fresh = () => record(null, [CREATED])
const seated = () => record(fresh(), seats.requestSeat(fresh(), REQUEST, 'hash'))
const running = () =>
  record(
    seated(),
    seats.seatSpawned(
      seated(),
      handleOf('builder', 1),
      { ...EFFECTIVE, namespaces: [], capabilities: [], degraded: [] },
      5,
    ),
  )

const codeOf = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    if (error instanceof LazarusError) return error.code
    throw error
  }
  return 'no error'
}

describe('a seat', () => {
  test('is requested and its spawn intended in one decision', () => {
    expect(seats.requestSeat(fresh(), REQUEST, 'hash').map((event) => event.type)).toEqual([
      'seat_requested',
      'spawn_started',
    ])
    expect(seated().seats.get('builder')).toMatchObject({ status: 'spawning', generation: 1 })
  })

  test('becomes active by the fact of its own generation only', () => {
    expect(running().seats.get('builder')?.status).toBe('active')
    expect(
      seats.seatSpawned(
        seated(),
        handleOf('builder', 2),
        { ...EFFECTIVE, namespaces: [], capabilities: [], degraded: [] },
        5,
      ),
    ).toEqual([])
  })

  test('dies once; the death of an older generation is refused and recorded', () => {
    const dead = record(running(), seats.seatExited(running(), 'builder', 1, EXIT, MOMENT))
    expect(dead.seats.get('builder')).toMatchObject({ status: 'dead', exit: EXIT })
    expect(seats.seatExited(dead, 'builder', 1, EXIT, MOMENT)).toEqual([])
    expect(seats.seatExited(running(), 'builder', 7, EXIT, MOMENT).map((event) => event.type)).toEqual(['refused'])
  })

  test('cannot be taken twice, beyond max_agents, or in a mission that has ended', () => {
    expect(codeOf(() => seats.requestSeat(running(), REQUEST, 'hash'))).toBe('conflict')
    const second = record(running(), seats.requestSeat(running(), { ...REQUEST, agent_id: 'second' }, 'hash2'))
    expect(codeOf(() => seats.requestSeat(second, { ...REQUEST, agent_id: 'third' }, 'hash3'))).toBe('conflict')
    const completed = record(running(), missions.complete(running()))
    expect(codeOf(() => seats.requestSeat(completed, { ...REQUEST, agent_id: 'third' }, 'hash3'))).toBe('conflict')
  })

  test('that was withdrawn may be taken again, in the next generation', () => {
    const withdrawing = record(running(), seats.startWithdraw(running(), 'builder', false))
    const withdrawn = record(withdrawing, seats.seatWithdrawn(withdrawing, 'builder', NOTHING))
    const again = record(withdrawn, seats.requestSeat(withdrawn, REQUEST, 'hash2'))
    expect(again.seats.get('builder')).toMatchObject({
      status: 'spawning',
      generation: 2,
      token_hash: 'hash2',
      exit: null,
    })
  })
})

describe('a mission', () => {
  test('pauses and resumes with its active seats', () => {
    const paused = record(running(), missions.pause(running()))
    expect([paused.status, paused.seats.get('builder')?.status]).toEqual(['paused', 'paused'])
    expect(missions.pause(paused)).toEqual([])
    const resumed = record(paused, missions.resume(paused))
    expect([resumed.status, resumed.seats.get('builder')?.status]).toEqual(['active', 'active'])
  })

  test('is archived only when completed', () => {
    expect(codeOf(() => missions.startArchive(running()))).toBe('conflict')
    const archiving = record(running(), [
      ...missions.complete(running()),
      { type: 'archive_started', agent_id: null, data: {} },
    ])
    expect(record(archiving, missions.archived(archiving, '/record')).status).toBe('archived')
  })

  test('is destroyed from every status, and its report is kept', () => {
    const destroying = record(running(), missions.startDestroy(running(), true, 'seal_x'))
    const kept = { path: '/t/repository.bundle', branches: ['mission/builder'], bytes: 1, sha256: 'aa', keep_until: AT }
    expect(missions.commitsSaved(running(), kept)).toEqual([])
    const saved = record(destroying, missions.commitsSaved(destroying, kept))
    expect(missions.commitsSaved(saved, kept)).toEqual([])
    for (const [before, collected] of [
      [destroying, null],
      [saved, kept],
    ] as const) {
      const { report } = record(
        before,
        missions.destroyed(before, { final_checkpoints: [], homes: HOMES, released: NOTHING }),
      )
      expect(report).toEqual({
        mission_id: MISSION,
        status: 'destroyed',
        final_checkpoints: [],
        collected,
        homes: HOMES,
        released: NOTHING,
      })
    }
    const gone = record(saved, missions.destroyed(saved, { final_checkpoints: [], homes: HOMES, released: NOTHING }))
    expect(missions.startDestroy(gone, true, null)).toEqual([])
  })
})

describe('decide and evolve, whatever the order of commands', () => {
  const agent = fc.constantFrom('a', 'b', 'c')
  const commands = fc.array(
    fc.oneof(
      agent.map((agent_id) => (s: MissionState) => seats.requestSeat(s, { ...REQUEST, agent_id }, `hash-${agent_id}`)),
      fc.tuple(agent, fc.integer({ min: 1, max: 3 })).map(
        ([id, g]) =>
          (s: MissionState) =>
            seats.seatSpawned(s, handleOf(id, g), { ...EFFECTIVE, namespaces: [], capabilities: [], degraded: [] }, 1),
      ),
      agent.map((id) => (s: MissionState) => seats.spawnFailed(s, id, { code: 'x', message: 'y' }, MOMENT)),
      fc.tuple(agent, fc.integer({ min: 1, max: 3 })).map(
        ([id, g]) =>
          (s: MissionState) =>
            seats.seatExited(s, id, g, EXIT, MOMENT),
      ),
      agent.map((id) => (s: MissionState) => seats.startWithdraw(s, id, false)),
      agent.map((id) => (s: MissionState) => seats.seatWithdrawn(s, id, NOTHING)),
      fc.constantFrom(missions.pause, missions.resume, missions.complete, missions.startArchive),
      fc.constant((s: MissionState) => missions.startDestroy(s, true, null)),
    ),
    { maxLength: 40 },
  )

  test('refusals are LazarusErrors, generations never fall, seats never exceed max_agents, repeats change nothing', () => {
    fc.assert(
      fc.property(commands, (list) => {
        let state = fresh()
        for (const command of list) state = step(state, command)
        expect([...state.seats.values()].filter(isTaken).length).toBeLessThanOrEqual(state.max_agents)
      }),
    )
  })

  function step(state: MissionState, command: (s: MissionState) => readonly DomainEvent[]): MissionState {
    let events: readonly DomainEvent[]
    try {
      events = command(state)
    } catch (error) {
      expect(error).toBeInstanceOf(LazarusError)
      return state
    }
    const after = record(state, events)
    for (const seat of state.seats.values())
      expect(after.seats.get(seat.agent_id)!.generation).toBeGreaterThanOrEqual(seat.generation)
    expect(after.version).toBe(state.version + events.length)
    return after
  }
})

test('a stream that does not begin with its creation is refused', () => {
  const stray = {
    type: 'mission_paused',
    agent_id: null,
    data: {},
    seq: 1,
    version: 1,
    at: AT,
    mission_id: MISSION,
  } as const
  expect(() => evolve(null, stray)).toThrow('mission_created')
})
