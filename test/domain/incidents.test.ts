import { describe, expect, test } from 'vitest'
import type { DomainEvent, RecordedEvent } from '../../src/contract/event.ts'
import { incidentsOf } from '../../src/domain/incidents.ts'
import { isoTime } from '../../src/kernel/clock.ts'
import { checkpointAt, EFFECTIVE, exitOf, handleOf, MISSION, NOON } from './seat-history.ts'

/** Events a second apart, the first at noon. */
const told = (...events: readonly [DomainEvent['type'], object][]) =>
  incidentsOf(
    events.map(
      ([type, data], i) =>
        ({
          type,
          data,
          agent_id: 'phoenix',
          mission_id: MISSION,
          seq: i + 1,
          version: i + 1,
          at: isoTime(NOON + i * 1000),
        }) as RecordedEvent,
    ),
  )

const ckpt = (sequence: number): string => checkpointAt(sequence).checkpoint_id

const death: [DomainEvent['type'], object] = ['seat_exited', { generation: 1, exit: exitOf() }]
const starts = (resumed_from: string): [DomainEvent['type'], object] => [
  'spawn_started',
  { generation: 2, resumed_from, token_hash: null },
]
const spawned: [DomainEvent['type'], object] = [
  'seat_spawned',
  { generation: 2, handle: handleOf('phoenix', 2), effective: EFFECTIVE, spawn_ms: 1 },
]
const taken: [DomainEvent['type'], object] = [
  'checkpoint_taken',
  { checkpoint: checkpointAt(1, { created_at: isoTime(NOON - 60_000) }) },
]

describe('a death', () => {
  test('is open until it is undone; from the live layer nothing is lost', () => {
    expect(told(death)).toMatchObject([{ incident_id: 'inc_1', outcome: 'open', cause: 'signal', revived_at: null }])
    expect(told(death, starts('live'), spawned)).toMatchObject([
      { outcome: 'revived', time_to_revive_ms: 2000, resumed_from: 'live', work_lost_ms: 0, checkpoint_age_ms: null },
    ])
  })

  test('that was undone from a checkpoint cost the age of that', () => {
    expect(told(taken, death, starts(ckpt(1)), spawned)).toMatchObject([
      { resumed_from: ckpt(1), checkpoint_age_ms: 60_000, work_lost_ms: 60_000, time_to_revive_ms: 3000 },
    ])
  })

  test('that was undone from an older checkpoint cost the age of that, from one that was taken after it nothing', () => {
    const old: [DomainEvent['type'], object] = [
      'checkpoint_taken',
      { checkpoint: checkpointAt(2, { created_at: isoTime(NOON - 300_000) }) },
    ]
    const after: [DomainEvent['type'], object] = [
      'checkpoint_taken',
      { checkpoint: checkpointAt(3, { created_at: isoTime(NOON + 60_000) }) },
    ]
    expect(told(old, taken, death, starts(ckpt(2)), spawned)).toMatchObject([
      { checkpoint_age_ms: 60_000, work_lost_ms: 300_000 },
    ])
    expect(told(death, after, starts(ckpt(3)), spawned)).toMatchObject([{ checkpoint_age_ms: null, work_lost_ms: 0 }])
  })

  test.each([
    ['quarantined', ['seat_quarantined', { reason: 'spent' }], 'spent'],
    ['released', ['seat_released', { reason: 'ada declined the revival' }], 'ada declined the revival'],
    ['replaced', ['seat_replaced', { by: 'second' }], 'by second'],
    ['withdrawn', ['seat_withdrawn', { final_checkpoint: null, released: {} }], null],
  ] as const)('ends %s', (outcome, event, reason) => {
    expect(told(death, [event[0], event[1]])).toMatchObject([{ outcome, reason }])
  })

  test('that ended in quarantine may be undone by hand still', () => {
    const all = told(death, ['seat_quarantined', { reason: 'spent' }], starts('live'), spawned)
    expect(all).toMatchObject([{ outcome: 'revived', reason: null, time_to_revive_ms: 3000 }])
  })

  test('of a seat that was withdrawn is not undone by who takes the seat later', () => {
    const withdrawn: [DomainEvent['type'], object] = ['seat_withdrawn', { final_checkpoint: null, released: {} }]
    const all = told(taken, death, withdrawn, starts('live'), spawned, death)
    expect(all).toMatchObject([{ outcome: 'withdrawn', revived_at: null }, { checkpoint_age_ms: null }])
  })

  test('with exit code 0 is a leave', () => {
    const left: [DomainEvent['type'], object] = [
      'seat_exited',
      { generation: 1, exit: exitOf({ cause: 'exit', code: 0, signal: null }) },
    ]
    expect(told(left)).toMatchObject([{ outcome: 'left' }])
  })

  test('no duration is negative when the clock was set back', () => {
    const late = { generation: 1, exit: exitOf({ died_at: isoTime(NOON + 86_400_000) }) }
    const [incident] = told(['seat_exited', late], starts('live'), spawned)
    expect([incident!.time_to_detect_ms, incident!.time_to_revive_ms]).toEqual([0, 0])
  })

  test('an orphan is an incident of its own', () => {
    expect(told(['orphan_reaped', { generation: 1 }])).toMatchObject([{ cause: 'orphan', outcome: 'reaped' }])
  })
})
