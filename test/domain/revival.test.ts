import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CellPolicies } from '../../src/contract/mission.ts'
import { requestSeat, seatExited, seatSpawned, spawnFailed } from '../../src/domain/decide-seat.ts'
import type { MissionState } from '../../src/domain/mission.ts'
import * as revival from '../../src/domain/revival.ts'
import {
  at,
  DAY_MS,
  dies,
  EFFECTIVE,
  exitOf,
  handleOf,
  lives,
  NOON,
  opened,
  phoenix,
  record,
  running,
  seated,
} from './seat-history.ts'

/** Brings the dead one back as the supervisor does. */
const revives = (state: MissionState): MissionState =>
  lives(record(state, revival.startRevival(state, 'phoenix', 'live', null)))

/** Dies `times` times, a second after each revival; what is left after the last death. */
function dieAgain(state: MissionState, times: number, now_ms = NOON): MissionState {
  let now = state
  for (let i = 0; i < times; i += 1) {
    if (i > 0) now = revives(now)
    now = dies(now, now_ms + i * 1000)
  }
  return now
}

describe('a death under the policy', () => {
  test('yes: is queued in the commit of the death itself', () => {
    const events = seatExited(running(), 'phoenix', 1, exitOf(), at(NOON))
    expect(events.map(({ type }) => type)).toEqual(['seat_exited', 'revival_queued'])
    expect(phoenix(dies(running())).revival).toMatchObject({ generation: 1, attempt: 1, approval: 'not_needed' })
  })

  test('no: stays dead, and can be revived by hand', () => {
    const dead = dies(running({ auto_revive: 'no' }))
    expect(phoenix(dead)).toMatchObject({ status: 'dead', revival: null })
    expect(phoenix(revives(dead))).toMatchObject({ status: 'active', generation: 2 })
  })

  test('ask: waits for an answer; approve, decline, nobody', () => {
    const asks = dies(running({ auto_revive: 'ask' }))
    const { revival_id } = phoenix(asks).revival!
    expect(phoenix(asks).status).toBe('awaiting_approval')
    const approved = record(asks, revival.approveRevival(asks, 'phoenix', revival_id, 'ada'))
    expect(phoenix(approved)).toMatchObject({ status: 'dead', revival: { approval: 'given' } })
    expect(revival.approveRevival(approved, 'phoenix', revival_id, 'ada')).toEqual([])
    const declined = record(asks, revival.declineRevival(asks, 'phoenix', revival_id, 'ada'))
    expect(phoenix(declined)).toMatchObject({ status: 'released', revival: null })
    const late = record(asks, revival.timeOutRevival(asks, 'phoenix', revival_id))
    expect(phoenix(late)).toMatchObject({
      status: 'quarantined',
      quarantine: expect.stringContaining('nobody approved'),
    })
    for (const state of [declined, late]) {
      expect(revival.approveRevival(state, 'phoenix', revival_id, 'ada')).toEqual([])
      expect(revival.timeOutRevival(state, 'phoenix', revival_id)).toEqual([])
    }
  })

  test.each([
    ['idle', 'dead', false],
    ['restart', 'dead', true],
  ] as const)('a clean exit with on_success %s', (on_success, status, isQueued) => {
    const ended = dies(running({ on_success }), NOON, { cause: 'exit', code: 0, signal: null })
    expect(phoenix(ended).status).toBe(status)
    expect(phoenix(ended).revival !== null).toBe(isQueued)
  })

  test('a clean exit with on_success complete ends the mission, and nobody waits in it any more', () => {
    const other = lives(seated(running({ on_success: 'complete', auto_revive: 'ask' }), 'other'), 'other')
    const waits = dies(other, NOON, {}, 'other')
    const done = dies(waits, NOON, { cause: 'exit', code: 0, signal: null })
    expect(done.status).toBe('completed')
    expect(done.seats.get('other')).toMatchObject({ status: 'dead', revival: null })
    expect(revival.revivalFailed(done, 'other', waits.seats.get('other')!.revival!.revival_id, at(NOON))).toEqual([])
  })

  test('a failure of code 0 by signal, or without a command of its own, is a death', () => {
    expect(phoenix(dies(running(), NOON, { cause: 'hung', code: 0 })).revival).not.toBeNull()
    const open = opened()
    const bare = lives(record(open, requestSeat(open, { agent_id: 'phoenix', role: 'write' }, 'hash')))
    expect(phoenix(dies(bare, NOON, { cause: 'exit', code: 0, signal: null })).revival).not.toBeNull()
  })
})

describe('the budget', () => {
  test('max_retries revivals within the window; then quarantined, with a reason', () => {
    const spent = dieAgain(running({ max_retries: 3 }), 4)
    expect(phoenix(spent)).toMatchObject({
      status: 'quarantined',
      generation: 4,
      quarantine: '3 of 3 revivals within 600 s are used up; last death: SIGKILL',
    })
  })

  test('what lies before the window does not count', () => {
    const twice = revives(dieAgain(running({ max_retries: 2, retry_window: 60 }), 2))
    expect(phoenix(dies(twice, NOON + 30_000)).status).toBe('quarantined')
    expect(phoenix(dies(twice, NOON + 62_000)).revival).toMatchObject({ attempt: 1 })
  })

  test.each([-DAY_MS, DAY_MS])('a clock that jumps by %i ms quarantines nobody', (jump) => {
    const state = revives(dieAgain(running({ max_retries: 2 }), 2))
    expect(phoenix(dies(state, NOON + jump)).revival).toMatchObject({ attempt: 1 })
  })

  test('a clock that was set back by a day does not count old deaths again when the day has passed', () => {
    const state = revives(dieAgain(running({ max_retries: 2 }), 2))
    const back = revives(dies(state, NOON - DAY_MS))
    expect(phoenix(dies(back, NOON)).revival).toMatchObject({ attempt: 1 })
  })

  test('a revival by hand leads out of quarantine, with a fresh budget', () => {
    const back = revives(dieAgain(running({ max_retries: 1 }), 2))
    expect(phoenix(back)).toMatchObject({ status: 'active', quarantine: null, generation: 3 })
    expect(phoenix(dies(back, NOON + 2000)).revival).toMatchObject({ attempt: 1 })
  })

  test('backoff: at once, then a second, doubling, at most a minute', () => {
    expect([1, 2, 3, 4, 8, 9, 1000].map(revival.backoffMs)).toEqual([0, 1000, 2000, 4000, 60_000, 60_000, 60_000])
    const back = revives(dies(running()))
    const crashed = phoenix(dies(back, NOON + 1000, { cause: 'signal', code: 139, signal: 'SIGSEGV' })).revival!
    expect(revival.patience(crashed)).toEqual({ backoff_ms: 1000, give_up_ms: 300_000 })
    const killed = phoenix(dies(back, NOON + 1000, { cause: 'signal', code: 137, signal: 'SIGKILL' })).revival!
    expect(revival.patience(killed), 'killed from outside: no crash loop').toMatchObject({ backoff_ms: 0 })
  })

  test('a revival that fails is spent, and queued again', () => {
    const trying = record(
      dies(running({ max_retries: 2 })),
      revival.startRevival(dies(running()), 'phoenix', 'live', null),
    )
    const failed = record(trying, spawnFailed(trying, 'phoenix', { code: 'spawn_failed', message: 'no' }, at(NOON + 1)))
    expect(phoenix(failed)).toMatchObject({ status: 'dead', generation: 2, revival: { attempt: 2 } })
  })

  test('a revival at work is not timed out', () => {
    const dead = dies(running())
    const trying = record(dead, revival.startRevival(dead, 'phoenix', 'live', null))
    expect(revival.timeOutRevival(trying, 'phoenix', phoenix(dead).revival!.revival_id)).toEqual([])
  })
})

describe('substitutes', () => {
  const policies: Partial<CellPolicies> = { max_retries: 0, substitute_agents: ['phoenix', 'second', 'third'] }
  const next = (state: MissionState) => phoenix(state).revival?.substitute ?? null

  test('come in order, each once, and never the dead one itself', () => {
    const dead = dies(running(policies))
    expect(next(dead)).toBe('second')
    const taken = seated(dead, 'second')
    const failed = record(taken, spawnFailed(taken, 'second', { code: 'spawn_failed', message: 'no' }, at(NOON)))
    const again = record(
      failed,
      revival.revivalFailed(failed, 'phoenix', phoenix(failed).revival!.revival_id, at(NOON)),
    )
    expect(next(again)).toBe('third')
  })

  test('one that cannot be seated is not tried for ever, nor at once each time', () => {
    let state = dies(running(policies))
    const waits: number[] = []
    while (phoenix(state).revival && waits.length < 100) {
      waits.push(revival.patience(phoenix(state).revival!).backoff_ms)
      const { revival_id } = phoenix(state).revival!
      state = record(state, revival.revivalFailed(state, 'phoenix', revival_id, at(NOON)))
    }
    expect(waits).toEqual([0, 1000, 2000])
    expect(phoenix(state).status).toBe('quarantined')
  })

  test('take the place of the dead one in a mission that is full', () => {
    const full = dies(lives(seated(opened(policies, 1))))
    const forked_from = { mission_id: full.mission_id, agent_id: 'phoenix', checkpoint_id: 'ckpt' }
    const request = { agent_id: 'second', role: 'write' } as const
    expect(() => requestSeat(full, request, 'h')).toThrow(/full/)
    expect(() => requestSeat(full, request, 'h', { forked_from, generation: 0 })).toThrow(/full/)
    const both = record(full, requestSeat(full, request, 'h', { forked_from, generation: 1 }))
    const replaced = record(both, revival.replaced(both, 'phoenix', 'second'))
    expect(phoenix(replaced).status).toBe('released')
    expect(replaced.seats.get('second')).toMatchObject({ generation: 2 })
    expect(() => requestSeat(replaced, { ...request, agent_id: 'more' }, 'h')).toThrow(/full/)
  })
})

describe('what cannot be', () => {
  test('an active seat is not revived, nor one of a mission that is paused', () => {
    expect(() => revival.startRevival(running(), 'phoenix', 'live', null)).toThrow(/is active, not dead/)
    const dead = dies(running())
    const paused: MissionState = { ...dead, status: 'paused' }
    expect(() => revival.startRevival(paused, 'phoenix', 'live', null)).toThrow(/paused/)
  })

  test('an exit of an older generation is refused and recorded; a second one of the same is nothing', () => {
    const second = revives(dies(running()))
    const late = seatExited(second, 'phoenix', 1, exitOf(), at(NOON))
    expect(late).toEqual([
      { type: 'refused', agent_id: 'phoenix', data: { what: 'exit of an older generation', generation: 1 } },
    ])
    expect(phoenix(record(second, late))).toEqual(phoenix(second))
    const dead = dies(second, NOON + 1)
    expect(seatExited(dead, 'phoenix', 2, exitOf(), at(NOON))).toEqual([])
    expect(seatSpawned(dead, handleOf('phoenix', 1), EFFECTIVE, 1)).toEqual([])
  })

  test('any death at any moment, any number of times: attempts never exceed the budget within a window', () => {
    const gap = fc.integer({ min: -2 * DAY_MS, max: 2 * DAY_MS })
    fc.assert(
      fc.property(fc.array(gap, { maxLength: 30 }), fc.nat(4), (gaps, max_retries) => {
        let [state, now] = [running({ max_retries }), NOON]
        for (const ms of gaps) {
          now += ms
          state = dies(state, now)
          const { revival: queued, status } = phoenix(state)
          expect(queued ? queued.attempt <= max_retries : status === 'quarantined').toBe(true)
          state = revives(state)
        }
      }),
    )
  })
})
