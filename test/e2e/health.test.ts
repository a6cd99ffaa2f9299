import { stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PACE } from '../support/pace.ts'
import { type Answer, PitProcess } from '../support/pit-process.ts'

/** Heartbeats, silence, gateways and the hung, with a pit of short patience: a failure after two seconds. */
const TIMEOUT_S = 2
let pit: PitProcess
let gateway: Server
let gatewayStatus = 200
beforeAll(async () => {
  gateway = createServer((_, response) => response.writeHead(gatewayStatus).end('{}'))
  await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve))
  pit = await PitProcess.create()
  await pit.configure({
    poll_interval: 0.5,
    timeout: TIMEOUT_S,
    gateways: { relay: `http://127.0.0.1:${(gateway.address() as AddressInfo).port}/health` },
  })
  await pit.start()
})
afterAll(async () => {
  await pit?.[Symbol.asyncDispose]()
  gateway.closeAllConnections()
  gateway.close()
})

// biome-ignore lint/suspicious/noExplicitAny: what a stranger's program would see
type Body = any

/** Health changes without events in the ledger, so it is asked for until it is so. */
async function eventually(path: string, holds: (body: Body) => boolean, seconds = 20): Promise<Body> {
  const deadline = performance.now() + seconds * 1000 * PACE
  for (;;) {
    const { body } = await pit.call('GET', path)
    if (holds(body)) return body
    if (performance.now() > deadline) throw new Error(`still ${JSON.stringify(body)}`)
    await pause(50)
  }
}

const beat = (agent: string, body: unknown = {}, token?: string): Promise<Answer> =>
  pit.call('POST', `/heartbeat/${agent}`, body, token)

const CURL = 'curl -sS --unix-socket /run/lazarus/cell.sock -H content-type:application/json'
/** Sends a heartbeat ten times a second, and says so once. */
const BEATS = `${CURL} -d '{"metadata":{"session":"s-1"}}' http://pit/heartbeat/$LAZARUS_AGENT_ID; echo; while ${CURL} -o /dev/null -d {} http://pit/heartbeat/$LAZARUS_AGENT_ID; do sleep 0.1; done`

interface Cell {
  readonly mission: string
  readonly seat: string
  readonly token: string
}

async function open(
  level: string,
  agent_id: string,
  command: readonly string[] | null,
  policies: object = {},
): Promise<Cell> {
  const request = { mission_name: agent_id, isolation_level: level, policies: { auto_revive: 'no', ...policies } }
  const { body: mission } = await pit.call('POST', '/v1/missions', request)
  const at = `/v1/missions/${mission.mission_id}`
  const added = await pit.call('POST', `${at}/seats`, { agent_id, ...(command === null ? {} : { command }) })
  expect(added.status, JSON.stringify(added.body)).toBe(201)
  return { mission: at, seat: `${at}/seats/${agent_id}`, token: added.body.token }
}

const close = async (cell: Cell): Promise<void> =>
  expect((await pit.call('DELETE', `${cell.mission}?force=true`)).status).toBe(200)

describe('a heartbeat', () => {
  test('through TCP with the token of the operator or of the seat, with the answer of the contract', async () => {
    const cell = await open('level_2', 'ada', null)
    const before = Date.now() / 1000
    for (const token of [pit.token, cell.token]) {
      const { status, body } = await beat('ada', { metadata: { session: 's-1' } }, token)
      expect(status).toBe(200)
      expect(body).toEqual({
        status: 'ok',
        agent_id: 'ada',
        timestamp: expect.any(Number),
        next_heartbeat: expect.closeTo(body.timestamp + 0.5, 6),
      })
      expect(body.timestamp).toBeGreaterThanOrEqual(before)
      expect(body.timestamp).toBeLessThanOrEqual(Date.now() / 1000)
    }
    const { body } = await pit.call('GET', '/agent/ada')
    expect(body).toEqual({
      agent_id: 'ada',
      status: 'healthy',
      last_heartbeat: expect.any(Number),
      last_response: null,
      consecutive_failures: 0,
      response_time: null,
      error_message: null,
      metadata: { session: 's-1' },
      signs: [expect.objectContaining({ process: 'active', generation: 1, suspicion: expect.any(Number) })],
    })
    const report = (await pit.call('GET', '/health')).body
    const { signs: _, ...health } = body
    expect(report.agents.ada).toEqual(health)
    expect(report.total_agents).toBe(Object.keys(report.agents).length)
    expect(report.healthy + report.degraded + report.unhealthy).toBe(report.total_agents)
    await close(cell)
    expect((await pit.call('GET', '/agent/ada')).body.error.code).toBe('agent_not_found')
  })

  test('that is foreign, forged, for nobody or too large changes nothing', async () => {
    const ada = await open('level_2', 'ada', null)
    const bob = await open('level_2', 'bob', null)
    const refusals: [Answer, number, string][] = [
      [await beat('bob', { metadata: { forged: true } }, ada.token), 403, 'forbidden'],
      [await beat('nobody'), 404, 'agent_not_found'],
      [await beat('nobody', {}, ada.token), 403, 'forbidden'],
      [await beat('ada', { metadata: { text: 'x'.repeat(4096) } }), 400, 'invalid_request'],
      [await beat('ada', `{"metadata":{"deep":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`), 400, 'invalid_request'],
      [await beat('ada', '{"metadata":{"__proto__":{"admin":true}}}'), 400, 'invalid_request'],
      [await beat('ada', { timestamp: Date.now() / 1000 + 86_400 }), 400, 'invalid_request'],
      [await beat('ada', { metadata: [] }), 400, 'invalid_request'],
      [await beat('Ada!'), 400, 'invalid_request'],
      [await beat('ada', {}, 'not-a-token'), 401, 'unauthorized'],
      [await pit.call('GET', '/agent/bob', undefined, ada.token), 403, 'forbidden'],
      [await pit.call('GET', '/health', undefined, ada.token), 403, 'forbidden'],
    ]
    for (const [{ status, body }, expected, code] of refusals)
      expect([status, body.error.code]).toEqual([expected, code])
    for (const agent of ['ada', 'bob']) {
      expect((await pit.call('GET', `/agent/${agent}`)).body).toMatchObject({ last_heartbeat: null, metadata: {} })
    }
    // The control: the same call counts when it is its own, and a time that the agent claims is only data.
    const future = Date.now() / 1000 + 86_400
    expect((await beat('ada', { metadata: { timestamp: future } }, ada.token)).status).toBe(200)
    expect((await pit.call('GET', '/agent/ada')).body.last_heartbeat).toBeLessThan(future - 80_000)
    await Promise.all([close(ada), close(bob)])
  })

  test('of one agent in two missions counts where it was sent from', async () => {
    const here = await open('level_2', 'twin', null)
    const there = await open('level_2', 'twin', null)
    await beat('twin', { metadata: { where: 'here' } }, here.token)
    const seen = (await pit.call('GET', '/agent/twin', undefined, there.token)).body
    expect(seen).toMatchObject({ last_heartbeat: null, metadata: {} })
    expect((await pit.call('GET', '/agent/twin')).body).toMatchObject({ metadata: { where: 'here' } })
    await beat('twin')
    expect((await pit.call('GET', '/agent/twin', undefined, there.token)).body.last_heartbeat).not.toBeNull()
    await Promise.all([close(here), close(there)])
  })

  test('that was acknowledged survives kill -9 of the pit', async () => {
    const cell = await open('level_2', 'ada', ['sleep', '600'])
    const { body } = await beat('ada', { metadata: { session: 's-9' } })
    await pit.stop('SIGKILL')
    await pit.start()
    expect((await pit.call('GET', '/health')).body.agents.ada).toMatchObject({
      status: 'healthy',
      last_heartbeat: body.timestamp,
      metadata: { session: 's-9' },
    })
    await close(cell)
  })
})

test('a seat that floods the pit with heartbeats is slowed down, and nobody else is', async () => {
  const flood = await open('level_2', 'flood', null)
  const calm = await open('level_2', 'calm', null)
  const before = (await stat(join(pit.stateDir, 'health.db'))).size
  const statuses = new Map<number, number>()
  const send = async () => {
    const { status } = await beat('flood', { metadata: { text: 'x'.repeat(4000) } }, flood.token)
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
  }
  const began = performance.now()
  for (let i = 0; i < 100 && !statuses.has(429); i++) await Promise.all(Array.from({ length: 40 }, send))
  const seconds = (performance.now() - began) / 1000
  // A machine that cannot send more than the limit has nothing to be slowed down.
  expect(statuses.has(429) || 4000 / seconds < 250).toBe(true)
  expect(statuses.get(200)).toBeLessThanOrEqual(1000 * (Math.ceil(seconds / 5) + 1))
  expect((await beat('calm', {}, calm.token)).status).toBe(200)
  expect((await stat(join(pit.stateDir, 'health.db'))).size - before).toBeLessThan(100_000)
  await Promise.all([close(flood), close(calm)])
})

describe('silence', () => {
  test('degrades, then is unhealthy, and kills nobody; a word mends it', async () => {
    const cell = await open('level_2', 'ada', ['sleep', '600'])
    await beat('ada')
    const degraded = await eventually('/agent/ada', ({ status }) => status === 'degraded')
    expect(degraded.error_message).toMatch(/^No heartbeat for \d s; its process runs$/)
    const unhealthy = await eventually('/agent/ada', ({ status }) => status === 'unhealthy')
    expect(unhealthy).toMatchObject({ consecutive_failures: 3, signs: [{ process: 'active' }] })
    expect(unhealthy.signs[0].silence).toBeGreaterThan(3 * TIMEOUT_S)
    expect((await pit.call('GET', cell.seat)).body).toMatchObject({ status: 'active', generation: 1 })
    await beat('ada')
    expect((await pit.call('GET', '/agent/ada')).body).toMatchObject({ status: 'healthy', error_message: null })
    await close(cell)
  })

  test('of an agent that writes is none; of one that ended well neither', async () => {
    const talks = await open('level_2', 'talks', ['sh', '-c', 'while echo word; do sleep 0.2; done'])
    const ended = await open('level_2', 'ended', ['true'])
    const quiet = await open('level_2', 'quiet', ['sleep', '600'])
    await eventually('/agent/quiet', ({ status }) => status === 'unhealthy')
    const agents = (await pit.call('GET', '/health')).body.agents
    expect([agents.talks.status, agents.ended.status]).toEqual(['healthy', 'healthy'])
    const { signs } = (await pit.call('GET', '/agent/talks')).body
    expect(signs[0].last_output).toBeGreaterThan(Date.now() / 1000 - 5)
    expect((await pit.call('GET', '/agent/ended')).body.signs).toMatchObject([{ process: 'dead' }])
    await Promise.all([talks, ended, quiet].map(close))
  })
})

test('a gateway is asked again and again: its time is measured, its failures are counted, and it recovers', async () => {
  const well = await eventually('/agent/relay', ({ last_response }) => last_response !== null)
  expect(well).toMatchObject({ status: 'healthy', last_heartbeat: null, error_message: null })
  expect(well.response_time).toBeGreaterThan(0)
  expect(well.response_time).toBeLessThan(5)
  gatewayStatus = 500
  const ill = await eventually('/agent/relay', ({ status }) => status === 'unhealthy')
  expect(ill).toMatchObject({ error_message: 'Answered 500', signs: [{ mission_id: null, process: null }] })
  const metrics = (await pit.call('GET', '/metrics')).body
  expect(metrics).toMatch(/^lazarus_agents\{status="unhealthy"\} 1$/m)
  expect(metrics).toMatch(/^lazarus_heartbeats_total \d+$/m)
  gatewayStatus = 200
  await eventually('/agent/relay', ({ status }) => status === 'healthy')
})

describe.each(['level_1', 'level_2', 'level_3'])('%s: an agent that beats through its socket', (level) => {
  test('and hangs is ended where the policy says so, with the cause, and is back', async () => {
    const policies = { hung_after: 1, auto_revive: 'yes' }
    const cell = await open(level, 'ada', ['sh', '-c', BEATS], policies)
    const healthy = await eventually('/agent/ada', ({ last_heartbeat }) => last_heartbeat !== null)
    expect(healthy).toMatchObject({ status: 'healthy', metadata: { session: 's-1' } })
    expect((await pit.call('POST', `${cell.seat}/kill`, { signal: 'SIGSTOP' })).status).toBe(200)
    await pit.until(cell.seat, ({ generation, status }) => generation === 2 && status === 'active')
    const { body } = await pit.call(
      'GET',
      `/v1/events?mission_id=${cell.mission.split('/').at(-1)}&types=end_decided,seat_exited`,
    )
    expect(body.events.map(({ type }: { type: string }) => type)).toEqual(['end_decided', 'seat_exited'])
    expect(body.events[0].data).toMatchObject({
      cause: 'hung',
      why: expect.stringMatching(/^No heartbeat for \d+\.\d s \(phi /),
    })
    expect(body.events[1].data.exit).toMatchObject({ cause: 'hung', signal: 'SIGKILL' })
    await eventually('/agent/ada', ({ status, signs }) => status === 'healthy' && signs[0].suspicion !== null)
    await close(cell)
  })
})

test('level_2: an agent that hangs under no such policy is shown, and left alone', async () => {
  const cell = await open('level_2', 'ada', ['sh', '-c', BEATS])
  await eventually('/agent/ada', ({ last_heartbeat }) => last_heartbeat !== null)
  await pit.call('POST', `${cell.seat}/kill`, { signal: 'SIGSTOP' })
  const seen = await eventually('/agent/ada', ({ status }) => status === 'unhealthy')
  expect(seen.signs[0]).toMatchObject({ process: 'active', generation: 1 })
  expect(seen.signs[0].suspicion).toBeGreaterThan(8)
  await pit.call('POST', `${cell.seat}/kill`, { signal: 'SIGCONT' })
  await eventually('/agent/ada', ({ status }) => status === 'healthy')
  await close(cell)
})

test('level_2: a pit that was stopped for longer than hung_after ends nobody for what it did not hear', async () => {
  const cell = await open('level_2', 'ada', ['sh', '-c', BEATS], { hung_after: 1 })
  await eventually('/agent/ada', ({ signs }) => signs[0].suspicion !== null)
  process.kill(pit.pid, 'SIGSTOP')
  await pause(4000) // The time that goes by is what is tried: there is no state to wait for while the pit is stopped.
  process.kill(pit.pid, 'SIGCONT')
  const { timestamp } = (await pit.call('GET', '/health')).body
  await eventually('/agent/ada', ({ last_heartbeat }) => last_heartbeat > timestamp + 2)
  expect((await pit.call('GET', cell.seat)).body).toMatchObject({ status: 'active', generation: 1 })
  await close(cell)
})
