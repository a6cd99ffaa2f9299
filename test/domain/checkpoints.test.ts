import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as checkpoints from '../../src/domain/checkpoints.ts'
import { startDestroy } from '../../src/domain/decide-mission.ts'
import { startWithdraw } from '../../src/domain/decide-seat.ts'
import type { MissionState } from '../../src/domain/mission.ts'
import { restoreFailed } from '../../src/domain/revival.ts'
import {
  at,
  checkpointAt,
  DAY_MS,
  dies,
  lives,
  NOON,
  opened,
  phoenix,
  record,
  running,
  seated,
} from './seat-history.ts'

const RETENTION = { checkpoints: 3, checkpoint_days: 7, checkpoint_bytes: 1000 }
const FAILED = { code: 'storage_full', message: 'The disk is full' }

const begun = (state: MissionState): MissionState =>
  record(state, checkpoints.startCheckpoint(state, 'phoenix', 'test'))
const taken = (state: MissionState, sequence = phoenix(state).sequence + 1): MissionState => {
  const started = begun(state)
  return record(started, checkpoints.checkpointTaken(started, checkpointAt(sequence)))
}
const first = checkpointAt(1).checkpoint_id

describe('taking', () => {
  test('sequences rise, also over failures; the newest is last', () => {
    const one = taken(running())
    const failing = begun(one)
    const failed = record(failing, checkpoints.checkpointFailed(failing, 'phoenix', 2, FAILED))
    expect(phoenix(failed)).toMatchObject({ sequence: 2, checkpointing: null, checkpoints: [{ sequence: 1 }] })
    expect(phoenix(taken(failed)).checkpoints.map(({ sequence }) => sequence)).toEqual([1, 3])
  })

  test('one that comes late, of a sequence that is over, is not listed', () => {
    const twice = begun(begun(running()))
    expect(checkpoints.checkpointTaken(twice, checkpointAt(1))).toEqual([])
    expect(checkpoints.checkpointFailed(twice, 'phoenix', 1, FAILED)).toEqual([])
    expect(checkpoints.checkpointTaken(taken(running()), checkpointAt(1))).toEqual([])
  })

  test('nothing is taken of what has no layer, or is ending', () => {
    expect(() => begun(seated(opened()))).toThrow(/no layer/)
    const leaving = record(running(), startWithdraw(running(), 'phoenix', true))
    expect(() => begun(leaving)).toThrow(/no layer/)
    const ending = record(running(), startDestroy(running(), true, null))
    expect(() => begun(ending)).toThrow(/destroying/)
  })
})

describe('a layer that is lost', () => {
  const seat = (generation: number, resumed_from: string | null, generations: readonly number[]) => ({
    ...phoenix(running()),
    generation,
    resumed_from,
    checkpoints: generations.map((of, index) => ({ ...checkpointAt(index + 1), generation: of })),
  })
  const sequences = (of: ReturnType<typeof seat>) => checkpoints.bestCheckpoints(of).map(({ sequence }) => sequence)

  test('is made anew from the newest, or from what this generation began from when that is the last word', () => {
    expect(sequences(seat(1, null, [1, 1, 1]))).toEqual([3, 2, 1])
    expect(sequences(seat(2, 'live', [1, 1, 1]))).toEqual([3, 2, 1])
    expect(sequences(seat(2, first, [1, 1, 1]))).toEqual([1, 3, 2])
    expect(sequences(seat(2, first, [1, 1, 2]))).toEqual([3, 2, 1])
    expect(sequences(seat(2, 'ckpt_of_another_seat', [1, 1]))).toEqual([2, 1])
  })
})

describe('restoring', () => {
  const restoring = (): MissionState => {
    const state = taken(running())
    return record(state, checkpoints.startRestore(state, 'phoenix', first))
  }

  test('unknown and pruned ones are not found', () => {
    const state = taken(running())
    const pruned = record(state, checkpoints.checkpointPruned(state, 'phoenix', first, 'test'))
    for (const now of [running(), pruned])
      expect(() => checkpoints.startRestore(now, 'phoenix', first)).toThrow(/has no checkpoint/)
  })

  test('intent; then the layer and the next generation in one commit, with another token', () => {
    const done = record(restoring(), checkpoints.restored(restoring(), 'phoenix', 'other'))
    expect(phoenix(restoring())).toMatchObject({
      status: 'reviving',
      generation: 1,
      restoring: { checkpoint_id: first },
    })
    expect(phoenix(done)).toMatchObject({ generation: 2, restoring: null, resumed_from: first, token_hash: 'other' })
    expect(checkpoints.restored(done, 'phoenix', null)).toEqual([])
  })

  test('the checkpoint that is being restored is not pruned', () => {
    expect(checkpoints.checkpointPruned(restoring(), 'phoenix', first, 'test')).toEqual([])
  })

  test('one that fails after its intent is a death, and the seat comes back from the layer that it has', () => {
    const failed = record(restoring(), restoreFailed(restoring(), 'phoenix', FAILED, at(NOON)))
    expect(phoenix(failed)).toMatchObject({ status: 'dead', generation: 1, restoring: null, error: FAILED })
    expect(phoenix(failed).revival).toMatchObject({ attempt: 1 })
    expect(restoreFailed(failed, 'phoenix', FAILED, at(NOON))).toEqual([])
  })

  test('takes the place of a revival that waits', () => {
    const dead = dies(taken(running()))
    expect(phoenix(record(dead, checkpoints.startRestore(dead, 'phoenix', first)))).toMatchObject({ revival: null })
    expect(lives(record(restoring(), checkpoints.restored(restoring(), 'phoenix', null))).seats.size).toBe(1)
  })
})

describe('retention', () => {
  const list = (count: number, bytes = 100) => Array.from({ length: count }, (_, i) => checkpointAt(i + 1, { bytes }))
  const pruned = (...args: Parameters<typeof checkpoints.toPrune>) =>
    checkpoints.toPrune(...args).map(({ checkpoint_id }) => Number(checkpoint_id.slice('ckpt_'.length)))

  test('by count, by age, by bytes: the oldest first', () => {
    expect(pruned(list(5), RETENTION, NOON)).toEqual([1, 2])
    expect(pruned(list(3), RETENTION, NOON + 7 * DAY_MS + 2000)).toEqual([1])
    expect(pruned(list(3, 400), RETENTION, NOON)).toEqual([1])
    expect(pruned(list(3), RETENTION, NOON)).toEqual([])
  })

  test('an archive that is shared counts once', () => {
    const shared = list(3, 900).map((checkpoint) => ({ ...checkpoint, sha256: 'f'.repeat(64) }))
    expect(pruned(shared, RETENTION, NOON)).toEqual([])
  })

  test('never the newest, whatever the clock and the bytes; what stays keeps to the count', () => {
    const sizes = fc.array(fc.record({ bytes: fc.nat(3000), shared: fc.boolean() }), { maxLength: 12 })
    fc.assert(
      fc.property(sizes, fc.integer({ min: -9 * DAY_MS, max: 9 * DAY_MS }), (entries, jump) => {
        const all = entries.map(({ bytes, shared }, i) =>
          checkpointAt(i + 1, { bytes: shared ? 500 : bytes, ...(shared && { sha256: 'f'.repeat(64) }) }),
        )
        const gone = new Set(pruned(all, RETENTION, NOON + jump))
        const rest = all.filter(({ sequence }) => !gone.has(sequence))
        expect(rest.at(-1)).toEqual(all.at(-1))
        expect(rest.length).toBeLessThanOrEqual(RETENTION.checkpoints)
        expect([...gone]).toEqual([...gone].toSorted((a, b) => a - b))
      }),
    )
  })
})
