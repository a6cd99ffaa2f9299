import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type DomainEvent, domainEvent } from '../../src/contract/event.ts'
import { type CellPolicies, cellPolicies } from '../../src/contract/mission.ts'
import * as checkpoints from '../../src/domain/checkpoints.ts'
import * as missions from '../../src/domain/decide-mission.ts'
import * as seats from '../../src/domain/decide-seat.ts'
import type { MissionState } from '../../src/domain/mission.ts'
import * as revival from '../../src/domain/revival.ts'
import type { SeatState } from '../../src/domain/seat.ts'
import { LazarusError } from '../../src/kernel/errors.ts'
import { at, checkpointAt, DAY_MS, EFFECTIVE, exitOf, handleOf, NOON, opened, record } from './seat-history.ts'

/** Whatever is asked, in whatever order, at whatever time: what is decided is recorded, and what is recorded folds. */
const AGENTS = ['phoenix', 'second']
const FAILED = { code: 'spawn_failed', message: 'no' }
const RELEASED = { processes: 0, containers: 0, mounts: 0 }

interface Move {
  readonly verb: number
  readonly agent: string
  readonly back: number
  readonly jump: number
}

const queuedOf = (seat: SeatState | undefined): string => seat?.revival?.revival_id ?? 'rev_none0000'

/** Each may throw a LazarusError, and returns events otherwise. */
const VERBS: readonly ((state: MissionState, move: Move, now_ms: number) => readonly DomainEvent[])[] = [
  (state, { agent }) => seats.requestSeat(state, { agent_id: agent, role: 'write', command: ['work'] }, 'hash'),
  (state, { agent, back }) =>
    seats.seatSpawned(state, handleOf(agent, Math.max(1, generationOf(state, agent) - back)), EFFECTIVE, 1),
  (state, { agent, back }, now) => (back > 0 ? seats.spawnFailed(state, agent, FAILED, at(now)) : []),
  (state, { agent, back }, now) =>
    seats.seatExited(state, agent, Math.max(1, generationOf(state, agent) - back), exitOf(), at(now)),
  (state, { agent }, now) =>
    seats.seatExited(state, agent, generationOf(state, agent) || 1, exitOf({ cause: 'exit', code: 0 }), at(now)),
  (state, { agent }) => seats.decideEnd(state, agent, generationOf(state, agent), { cause: 'hung', why: 'silent' }),
  (state, { agent }) => revival.startRevival(state, agent, 'live', null),
  (state, { agent }, now) => revival.revivalFailed(state, agent, queuedOf(state.seats.get(agent)), at(now)),
  (state, { agent }, now) => revival.restoreFailed(state, agent, FAILED, at(now)),
  (state, { agent }) => revival.approveRevival(state, agent, queuedOf(state.seats.get(agent)), 'ada'),
  (state, { agent }) => revival.declineRevival(state, agent, queuedOf(state.seats.get(agent)), 'ada'),
  (state, { agent }) => revival.timeOutRevival(state, agent, queuedOf(state.seats.get(agent))),
  (state, { agent, jump }) => (jump > DAY_MS ? revival.replaced(state, agent, 'second') : []),
  (state, { agent }) => checkpoints.startCheckpoint(state, agent, 'test'),
  (state, { agent, back }) =>
    checkpoints.checkpointTaken(state, checkpointAt(Math.max(1, sequenceOf(state, agent) - back), { agent_id: agent })),
  (state, { agent }) => checkpoints.checkpointFailed(state, agent, sequenceOf(state, agent), FAILED),
  (state, { agent, back }) =>
    checkpoints.startRestore(state, agent, checkpointAt(Math.max(1, sequenceOf(state, agent) - back)).checkpoint_id),
  (state, { agent }) => checkpoints.restored(state, agent, 'other'),
  (state, { agent, back }) =>
    checkpoints.checkpointPruned(
      state,
      agent,
      checkpointAt(Math.max(1, sequenceOf(state, agent) - back)).checkpoint_id,
      'old',
    ),
  (state, { jump }) => (jump > DAY_MS ? missions.pause(state) : []),
  (state) => missions.resume(state),
  (state, { jump }) => (jump > 1.95 * DAY_MS ? missions.complete(state) : []),
  (state, { agent, jump }) => (jump > DAY_MS ? seats.startWithdraw(state, agent, true) : []),
  (state, { agent }) => seats.seatWithdrawn(state, agent, RELEASED),
  (state, { jump }) => (jump < -1.95 * DAY_MS ? missions.startDestroy(state, true, null) : []),
]

const generationOf = (state: MissionState, agent: string): number => state.seats.get(agent)?.generation ?? 0
const sequenceOf = (state: MissionState, agent: string): number => state.seats.get(agent)?.sequence ?? 1

const move: fc.Arbitrary<Move> = fc.record({
  verb: fc.nat(VERBS.length - 1),
  agent: fc.constantFrom(...AGENTS),
  back: fc.constantFrom(0, 0, 0, 1, 2),
  jump: fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: -2 * DAY_MS, max: 2 * DAY_MS })),
})

const policies: fc.Arbitrary<CellPolicies> = fc
  .record({
    auto_revive: fc.constantFrom('yes' as const, 'no' as const, 'ask' as const),
    max_retries: fc.nat(3),
    substitute_agents: fc.subarray(AGENTS),
    on_success: fc.constantFrom('idle' as const, 'complete' as const, 'restart' as const),
    revive_timeout: fc.constantFrom(0.1, 300, 31_536_000),
  })
  .map((chosen) => cellPolicies.parse(chosen))

/** The events of one decision, or none where it was refused with an error of the catalogue. */
function decided(state: MissionState, chosen: Move, now_ms: number): readonly DomainEvent[] {
  try {
    return VERBS[chosen.verb]!(state, chosen, now_ms)
  } catch (error) {
    if (error instanceof LazarusError) return []
    throw error
  }
}

function requireSound(seat: SeatState, before: SeatState | undefined): void {
  expect(seat.generation).toBeGreaterThanOrEqual(before?.generation ?? 0)
  expect(seat.generation).toBeLessThanOrEqual((before?.generation ?? 0) + 1)
  expect(seat.sequence).toBeGreaterThanOrEqual(before?.sequence ?? 0)
  if (seat.status === 'active' || seat.status === 'paused') {
    expect(seat.handle?.generation).toBe(seat.generation)
    expect([seat.revival, seat.restoring, seat.exit]).toEqual([null, null, null])
  }
  if (seat.status === 'quarantined') expect([seat.revival, typeof seat.quarantine]).toEqual([null, 'string'])
  if (seat.status === 'awaiting_approval') expect(seat.revival?.approval).toBe('needed')
  if (seat.revival) expect(['dead', 'awaiting_approval', 'reviving']).toContain(seat.status)
  if (seat.restoring) expect(seat.status).toBe('reviving')
  const sequences = seat.checkpoints.map(({ sequence }) => sequence)
  expect(sequences).toEqual([...new Set(sequences)].toSorted((a, b) => a - b))
}

test('no sequence of decisions breaks the fold, lets a generation fall, or two of them live', () => {
  fc.assert(
    fc.property(policies, fc.array(move, { minLength: 60, maxLength: 200, size: 'max' }), (chosen, moves) => {
      let [state, now] = [opened(chosen, 3), NOON]
      for (const next of moves) {
        now += next.jump
        const before = state.seats
        const events = decided(state, next, now)
        for (const event of events) domainEvent.parse(event)
        state = record(state, events)
        for (const seat of state.seats.values()) requireSound(seat, before.get(seat.agent_id))
      }
    }),
    { numRuns: 150 },
  )
})
