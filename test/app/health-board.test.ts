import { afterEach, describe, expect, test } from 'vitest'
import { HealthStage, MISSION, OPERATOR, seat, seatAs } from './health-stage.ts'

let stage: HealthStage
const raise = (config: object = {}, policies: object = {}) => {
  stage = new HealthStage(config, policies)
  return stage
}
afterEach(() => stage[Symbol.dispose]())
const beat = (agent_id = 'ada', metadata = {}, by = OPERATOR) => stage.board.beat(by, agent_id, metadata)

describe('a heartbeat', () => {
  test('is stamped by the pit, and says when the next one is expected', async () => {
    raise().seat('ada')
    stage.seat('bob', { heartbeat_interval: 5 })
    stage.clock.wall = 1_800_000_000_123
    expect(await beat('ada')).toEqual({
      status: 'ok',
      agent_id: 'ada',
      timestamp: 1_800_000_000.123,
      next_heartbeat: 1_800_000_030.123,
    })
    expect((await beat('bob')).next_heartbeat).toBe(1_800_000_005.123)
    expect(stage.board.heartbeats).toBe(2)
  })

  test('counts before the seat is known to run: the agent is faster than the ledger', async () => {
    raise().tell(seat('ada').requested(), seat('ada').started())
    expect(await beat('ada', {}, seatAs('ada'))).toMatchObject({ status: 'ok' })
  })

  test('of an agent that nobody knows is refused', async () => {
    raise().seat('ada')
    await expect(beat('eve')).rejects.toMatchObject({ code: 'agent_not_found', status: 404 })
    expect(stage.board.report().total_agents).toBe(1)
  })

  test('of a seat counts for that seat alone', async () => {
    raise().seat('ada')
    stage.seat('bob')
    await expect(beat('bob', { forged: true }, seatAs('ada'))).rejects.toMatchObject({ code: 'forbidden' })
    await expect(beat('ada', {}, seatAs('ada', 1, '7d1b1a44-93a5-4a2f-8f77-51c0f4f7f0a2'))).rejects.toMatchObject({
      code: 'agent_not_found',
    })
    for (const agent of ['ada', 'bob']) expect(stage.of(agent)).toMatchObject({ last_heartbeat: null, metadata: {} })
  })

  test('of an older generation changes nothing', async () => {
    raise().seat('ada')
    const { killed, started, spawned } = seat('ada')
    stage.tell(killed())
    stage.tell(started(2), spawned(2))
    await expect(beat('ada', { old: true }, seatAs('ada', 1))).rejects.toMatchObject({ code: 'unauthorized' })
    expect(stage.of('ada')).toMatchObject({ status: 'degraded', last_heartbeat: null, metadata: {} })
  })

  test('of the dead does not make them healthy', async () => {
    raise().seat('ada')
    stage.tell(seat('ada').killed())
    await expect(beat('ada')).rejects.toMatchObject({ code: 'conflict' })
    await expect(beat('ada', {}, seatAs('ada'))).rejects.toMatchObject({ code: 'conflict' })
    expect(stage.of('ada')).toMatchObject({ status: 'degraded', error_message: 'It died: signal (SIGKILL)' })
  })

  test('tells what a checkpoint keeps as the session', async () => {
    raise().seat('ada')
    expect(stage.board.session(MISSION, 'ada')).toEqual({})
    await beat('ada', { session: 's-1' })
    await beat('ada')
    expect(stage.board.session(MISSION, 'ada')).toEqual({ session: 's-1' })
    expect(stage.board.session(MISSION, 'nobody')).toEqual({})
  })
})

describe('open registration', () => {
  test('admits agents of the operator, not of a seat', async () => {
    raise({ open_registration: true }).seat('ada')
    await beat('outsider', { host: 'laptop' })
    await expect(beat('outsider', { forged: true }, seatAs('ada'))).rejects.toMatchObject({ code: 'forbidden' })
    expect(stage.of('outsider')).toMatchObject({ status: 'healthy', metadata: { host: 'laptop' } })
    expect(stage.of('outsider').signs).toMatchObject([{ mission_id: null, process: null }])
  })

  test('has an end', async () => {
    raise({ open_registration: true })
    for (let i = 0; i < 10_000; i++) void beat(`agent-${i}`)
    await expect(beat('one-more')).rejects.toMatchObject({ code: 'limit_exceeded' })
    await expect(beat('agent-7')).resolves.toMatchObject({ status: 'ok' })
  })
})

describe('who is watched', () => {
  test('a seat from its start until it is withdrawn', () => {
    raise()
    expect(stage.board.report()).toMatchObject({ total_agents: 0, agents: {} })
    stage.seat('ada')
    expect(stage.board.report()).toMatchObject({ total_agents: 1, healthy: 1 })
    stage.tell(seat('ada').withdrawn())
    expect(stage.board.report().total_agents).toBe(0)
  })

  test('an agent that ended well is healthy; one that did not is not', () => {
    raise().seat('ada')
    stage.seat('bob')
    stage.tell(seat('ada').ended(0), seat('bob').ended(3))
    expect(stage.board.report()).toMatchObject({ healthy: 1, degraded: 1 })
    expect(stage.of('bob').error_message).toBe('It died: exit (code 3)')
  })

  test('three deaths in a row make it unhealthy, once with an alert; a word from it makes it well', async () => {
    raise().seat('ada')
    const { killed, started, spawned } = seat('ada')
    for (let generation = 1; generation <= 4; generation++) {
      if (generation > 1) stage.tell(started(generation), spawned(generation))
      stage.tell(killed(generation))
    }
    expect(stage.of('ada')).toMatchObject({ status: 'unhealthy', consecutive_failures: 4 })
    expect(stage.alerts).toEqual([
      { kind: 'agent_unhealthy', agent_id: 'ada', mission_id: MISSION, why: 'It died: signal (SIGKILL)' },
    ])
    stage.tell(started(5), spawned(5))
    await beat('ada', {}, seatAs('ada', 5))
    expect(stage.of('ada').status).toBe('healthy')
  })

  test('the operator sees every place of an agent, a seat its own', async () => {
    raise({ gateways: { ada: 'http://127.0.0.1:1/' } }).seat('ada')
    stage.board.gatewayFailed('ada', 'No answer: ECONNREFUSED')
    await beat('ada', { secret: 1 }, seatAs('ada'))
    expect(stage.of('ada')).toMatchObject({ status: 'degraded', metadata: { secret: 1 } })
    expect(stage.of('ada').signs).toHaveLength(2)
    const own = stage.board.agent(seatAs('ada'), 'ada', () => null)
    expect(own).toMatchObject({ status: 'healthy', error_message: null })
    expect(own.signs).toMatchObject([{ mission_id: MISSION, process: 'active' }])
  })
})

describe('a restart of the pit', () => {
  test('keeps what was last heard, and counts no silence of the time between', async () => {
    raise({ gateways: { relay: 'http://127.0.0.1:1/' }, open_registration: true }).seat('ada')
    await beat('ada', { session: 's-1' })
    await beat('outsider')
    stage.board.gatewayAnswered('relay', 12)
    stage.pass(10_000)
    await stage.restart()
    expect(stage.of('ada')).toMatchObject({
      status: 'healthy',
      last_heartbeat: 1_800_000_000,
      metadata: { session: 's-1' },
    })
    expect(stage.of('ada').signs).toMatchObject([{ silence: 0 }])
    expect(stage.of('relay')).toMatchObject({ last_response: 1_800_000_000, response_time: 0.012 })
    expect(stage.of('outsider').last_heartbeat).toBe(1_800_000_000)
  })

  test('does not make the dead healthy, nor bring back who is gone', async () => {
    raise().seat('ada')
    stage.seat('bob')
    await beat('ada')
    await beat('bob')
    stage.tell(seat('ada').killed(), seat('bob').withdrawn())
    await stage.restart()
    expect(Object.keys(stage.board.report().agents)).toEqual(['ada'])
    expect(stage.of('ada')).toMatchObject({ status: 'degraded', consecutive_failures: 1 })
    await stage.restart()
    expect(stage.heartbeats.all().map(({ agent_id }) => agent_id)).toEqual(['ada'])
  })
})
