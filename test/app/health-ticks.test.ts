import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Context, seatKey } from '../../src/app/context.ts'
import { watchHealth } from '../../src/app/health-ticks.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { KeyedQueue } from '../../src/kernel/queues.ts'
import { HealthStage, MISSION, OPERATOR, seat } from './health-stage.ts'

let stage: HealthStage
let queue: KeyedQueue
let watching: Disposable
/** Agents that were ended, with the events that came before the signal. */
let ended: { agent_id: string; why: string; generation: number }[]
/** When each agent last wrote, as its log file would say. */
let outputs: Record<string, number>

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
afterEach(() => {
  watching[Symbol.dispose]()
  stage[Symbol.dispose]()
  vi.useRealTimers()
})

function raise(policies: object = {}, config: object = {}): void {
  stage = new HealthStage(config, policies)
  ended = []
  queue = new KeyedQueue()
  outputs = {}
  watching = watchHealth({
    ...stage,
    log: silentLog,
    clock: stage.clock,
    config: stage.config,
    get health() {
      return stage.board
    },
    seatQueue: queue,
    seatLogs: { wroteAt: async (path: string) => outputs[path] ?? null },
    cells: { logPath: (_mission: string, agent_id: string) => agent_id },
    book: {
      commit: async (
        _mission: string,
        decide: (state: unknown) => { type: string; agent_id: string; data: object }[],
      ) => {
        const [event] = decide(stage.mission)
        expect(event?.type).toBe('end_decided')
        ended.push({ agent_id: event!.agent_id, ...(event!.data as { why: string; generation: number }) })
        stage.tell(event as never, seat(event!.agent_id).killed())
        return stage.mission
      },
    },
    drivers: new Map([['level_2', { signal: async () => {} }]]),
  } as unknown as Context)
}

/** Lets so many seconds go by, a tick at a time; `each` runs before each tick. */
async function live(seconds: number, each: (second: number) => unknown = () => {}): Promise<void> {
  for (let second = 1; second <= seconds; second++) {
    stage.pass(1)
    await each(second)
    vi.advanceTimersByTime(1000)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
const beat = (agent_id = 'ada') => stage.board.beat(OPERATOR, agent_id, {})
const failures = (agent_id = 'ada') => stage.of(agent_id).consecutive_failures

describe('silence beyond the timeout', () => {
  test('is one failure per period: degraded, degraded, unhealthy', async () => {
    raise()
    stage.seat('ada')
    await beat()
    await live(299)
    expect(stage.of('ada').status).toBe('healthy')
    await live(2)
    expect(stage.of('ada')).toMatchObject({ status: 'degraded', consecutive_failures: 1 })
    expect(stage.of('ada').error_message).toMatch(/^No heartbeat for 30\d s; its process runs$/)
    await live(290)
    expect(failures()).toBe(1)
    await live(10)
    expect(stage.of('ada')).toMatchObject({ status: 'degraded', consecutive_failures: 2 })
    await live(300)
    expect(stage.of('ada')).toMatchObject({ status: 'unhealthy', consecutive_failures: 3 })
    expect(stage.alerts).toHaveLength(1)
    await beat()
    expect(stage.of('ada')).toMatchObject({ status: 'healthy', error_message: null })
    expect(ended).toEqual([])
  })

  test('counts for an agent that never sent a heartbeat only when it writes nothing either', async () => {
    raise()
    stage.seat('quiet')
    stage.seat('busy')
    await live(1000, (second) => {
      outputs.busy = second
    })
    expect([failures('quiet'), failures('busy')]).toEqual([3, 0])
    expect(stage.of('quiet').error_message).toMatch(/^No heartbeat and no output for /)
    await live(700)
    expect(failures('busy')).toBe(1)
  })

  test('means nothing in a seat without an agent, in a frozen one, and in one that ended well', async () => {
    raise()
    stage.seat('empty', { command: null })
    stage.seat('frozen')
    stage.seat('ended')
    for (const agent_id of ['frozen', 'ended']) await beat(agent_id)
    stage.tell(seat('frozen').frozen(), seat('ended').ended(0))
    await live(1000)
    expect([failures('empty'), failures('frozen'), failures('ended')]).toEqual([0, 0, 0])
    stage.tell(seat('frozen').thawed())
    await live(200)
    expect(failures('frozen')).toBe(0)
    await live(200)
    expect(failures('frozen')).toBe(1)
  })

  test('of the dead goes on counting, under the cause of the death', async () => {
    raise()
    stage.seat('ada')
    stage.tell(seat('ada').killed())
    await live(700)
    expect(stage.of('ada')).toMatchObject({ status: 'unhealthy', error_message: 'It died: signal (SIGKILL)' })
  })

  test('waits for twice the interval that the agent declared', async () => {
    raise()
    stage.seat('slow', { heartbeat_interval: 400 })
    await beat('slow')
    await live(790)
    expect(failures('slow')).toBe(0)
    await live(20)
    expect(failures('slow')).toBe(1)
  })

  test('gives a new generation time', async () => {
    raise()
    stage.seat('ada')
    await beat()
    await live(250)
    const { killed, started, spawned } = seat('ada')
    stage.tell(killed())
    stage.tell(started(2), spawned(2))
    await live(250)
    expect(failures()).toBe(1) // the death alone
    await live(60)
    expect(failures()).toBe(2)
  })

  test('forgets after a week whom open registration let in', async () => {
    raise({}, { open_registration: true, timeout: 86_400 })
    for (const agent_id of ['long-ago', 'of-late']) await beat(agent_id)
    for (const vitals of stage.heartbeats.all()) {
      await stage.heartbeats.put({ ...vitals, failures: vitals.agent_id === 'long-ago' ? 8 : 6 })
    }
    await stage.restart()
    expect(stage.board.report().total_agents).toBe(2)
    await live(1)
    expect(Object.keys(stage.board.report().agents)).toEqual(['of-late'])
  })
})

describe('an agent that hangs', () => {
  const beats = async (seconds: number) => live(seconds, () => beat())

  test('is ended where the policy says so, with the reason', async () => {
    raise({ hung_after: 10 }, { poll_interval: 1 })
    stage.seat('ada')
    await beats(30)
    await live(9)
    expect(ended).toEqual([])
    await live(3)
    expect(ended).toEqual([
      {
        agent_id: 'ada',
        generation: 1,
        cause: 'hung',
        why: expect.stringMatching(/^No heartbeat for 1[01]\.0 s \(phi /),
      },
    ])
    await live(60)
    expect(ended).toHaveLength(1)
  })

  test('is left alone without the policy', async () => {
    raise({}, { poll_interval: 1 })
    stage.seat('ada')
    await beats(30)
    await live(5000)
    expect(ended).toEqual([])
    expect(stage.of('ada')).toMatchObject({ status: 'unhealthy', signs: [{ process: 'active' }] })
    expect(stage.of('ada').signs[0]!.suspicion).toBeGreaterThan(8)
  })

  test('is not one that never sent a heartbeat in this generation', async () => {
    raise({ hung_after: 10 }, { poll_interval: 1 })
    stage.seat('mute')
    stage.seat('ada')
    await beats(5)
    const { killed, started, spawned } = seat('ada')
    stage.tell(killed(), started(2), spawned(2))
    await live(5000)
    expect(ended).toEqual([])
  })

  test('is not one that speaks rarely and was silent as long before', async () => {
    raise({ hung_after: 10 }, { poll_interval: 1 })
    stage.seat('thinker')
    for (const pause of [5, 9, 2, 8, 9, 1, 9, 7, 3, 9]) {
      await beat('thinker')
      await live(pause)
    }
    await beat('thinker')
    await live(13) // longer than hung_after, and than ever before
    expect(ended).toEqual([])
    await live(40)
    expect(ended).toHaveLength(1)
  })

  test('is not one that is frozen, nor one that was just thawed', async () => {
    raise({ hung_after: 10 }, { poll_interval: 1 })
    stage.seat('ada')
    await beats(30)
    stage.tell(seat('ada').frozen())
    await live(3600)
    stage.tell(seat('ada').thawed())
    await live(9)
    expect(ended).toEqual([])
  })
})

test('a checkpoint that stops a seat for longer than hung_after ends nobody', async () => {
  raise({ hung_after: 10 }, { poll_interval: 1 })
  stage.seat('ada')
  await live(30, () => beat())
  // As src/app/checkpoint-seat.ts does: the queue of the seat is held, and given back when the seat runs again.
  const taken = Promise.withResolvers<void>()
  const checkpoint = queue.run(seatKey(MISSION, 'ada'), () => taken.promise)
  await live(60)
  stage.board.excuse({ mission_id: MISSION, agent_id: 'ada' })
  taken.resolve()
  await checkpoint
  await live(9)
  expect(ended).toEqual([])
  await live(4)
  expect(ended).toHaveLength(1)
})

describe('nobody is judged by', () => {
  test.each([
    ['forward', 86_400_000],
    ['back', -86_400_000],
  ])('a wall clock that jumps a day %s', async (_, jump) => {
    raise({ hung_after: 10 }, { poll_interval: 1 })
    stage.seat('ada')
    await live(30, () => beat())
    stage.clock.wall += jump
    await live(9)
    expect([ended, failures()]).toEqual([[], 0])
    await beat()
    expect(stage.of('ada').last_heartbeat).toBe(stage.clock.wall / 1000)
    // The control: the same silence on the monotonic clock is one.
    await live(13)
    expect(ended).toHaveLength(1)
  })

  test('the time that the pit itself did not run: stopped, or the machine suspended', async () => {
    raise({ hung_after: 10 }, { poll_interval: 1, timeout: 60 })
    stage.seat('ada')
    await live(30, () => beat())
    stage.pass(3600)
    await live(9)
    expect([ended, failures()]).toEqual([[], 0])
    await live(4)
    expect(ended).toHaveLength(1)
  })
})
