import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { applicationOf, MISSION, missionOf, OPERATOR, raise, type Stage, seatOf, send } from './stage.ts'

let stage: Stage
const created: unknown[] = []
beforeAll(async () => {
  stage = await raise(
    applicationOf([seatOf('builder')], {
      createMission: async (request) => {
        created.push(request)
        return missionOf()
      },
    }),
  )
})
afterAll(() => stage[Symbol.asyncDispose]())

const get = (path: string) => send(stage.at, path, { headers: OPERATOR })
const create = (body: unknown) => send(stage.at, '/v1/missions', { method: 'POST', headers: OPERATOR, body })
const valid = { mission_name: 'mend', isolation_level: 'level_2' }

test('a valid mission reaches the application with its defaults', async () => {
  expect((await create(valid)).status).toBe(201)
  expect(created.at(-1)).toEqual({ ...valid, max_agents: 10, timeout: 3600 })
})

describe('ids in the path', () => {
  const LONG = 'a'.repeat(300)
  test.each([
    ['..', '..'],
    ['%2e%2e', '..'],
    ['%2e', '.'],
    ['a%0ab', 'a\\nb'],
    ['__proto__', '__proto__'],
    ['constructor', 'constructor'],
    ['..%2f..%2fetc', '../../etc'],
    ['a%00b', 'a\\u0000b'],
    [LONG, '(302 characters)'],
    ['a'.repeat(8000), '(8002 characters)'],
  ])('id %# is refused by name, with what came: %.20s', async (id, shown) => {
    const answer = await get(`/v1/missions/${id}`)
    expect(answer.status).toBe(400)
    expect(answer.json.error).toMatchObject({ code: 'invalid_request', retryable: false })
    expect(answer.json.error.message).toContain('mission_id')
    expect(answer.json.error.message).toContain(shown)
    expect(answer.text.length).toBeLessThan(1200)
  })

  test.each(['..', '%2e%2e', 'A', 'a%0ab', '__proto__', LONG, '-a', 'a%20b'])('agent %#: %.20s', async (id) => {
    const answer = await get(`/v1/missions/${MISSION}/seats/${id}`)
    expect(answer.status).toBe(400)
    expect(answer.json.error.details.problems[0]).toMatchObject({ field: 'agent_id' })
  })

  test('a path that is no valid encoding', async () => {
    const answer = await get('/v1/missions/%zz')
    expect([answer.status, answer.json.error.code]).toEqual([400, 'invalid_request'])
    expect(answer.headers['x-request-id']).toBeTruthy()
  })
})

describe('bodies', () => {
  test.each([
    ['an unknown field', { ...valid, colour: 'red' }, 'colour', 'no such field', '"red"'],
    [
      'an unknown field deep inside',
      { ...valid, policy: { limits: { speed: 9 } } },
      'policy.limits.speed',
      'no such field',
      '9',
    ],
    ['a wrong level', { ...valid, isolation_level: 'level_9' }, 'isolation_level', 'level_1', '"level_9"'],
    ['a missing field', { isolation_level: 'level_2' }, 'mission_name', 'string', 'nothing'],
    ['a number as text', { ...valid, timeout: '60' }, 'timeout', 'number', '"60"'],
    ['a list', [valid], 'body', 'object', 'a list of 1'],
    ['null', null, 'body', 'object', 'null'],
  ])('%s is refused: field, expected, received', async (_name, body, field, expected, received) => {
    const answer = await create(body)
    expect(answer.status).toBe(400)
    const [problem] = answer.json.error.details.problems
    expect(problem.field).toBe(field)
    expect(problem.expected).toContain(expected)
    expect(problem.received).toBe(received)
    expect(answer.json.error.message).toContain(field)
  })

  test.each([
    '{"__proto__":{"admin":true},"mission_name":"x","isolation_level":"level_1"}',
    '{"constructor":{"prototype":{"a":1}},"mission_name":"x"}',
  ])('prototype pollution is refused: %s', async (raw) => {
    const answer = await send(stage.at, '/v1/missions', { method: 'POST', headers: OPERATOR, raw })
    expect([answer.status, answer.json.error.code]).toEqual([400, 'invalid_request'])
    expect(({} as Record<string, unknown>).admin).toBeUndefined()
  })

  test.each(['{"mission_name":', 'hello', ''])('what is not JSON is refused: %j', async (raw) => {
    const answer = await send(stage.at, '/v1/missions', { method: 'POST', headers: OPERATOR, raw })
    expect([answer.status, answer.json.error.code]).toEqual([400, 'invalid_request'])
  })

  test.each(['text/plain', 'application/xml', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])(
    'content type %s is 415',
    async (type) => {
      const answer = await send(stage.at, '/v1/missions', {
        method: 'POST',
        headers: { ...OPERATOR, 'content-type': type },
        raw: JSON.stringify(valid),
      })
      expect([answer.status, answer.json.error.code]).toEqual([415, 'unsupported_media_type'])
    },
  )

  test('a body over 1 MiB is 413, whole or in chunks', async () => {
    const raw = JSON.stringify({ ...valid, mission_name: 'x'.repeat(1024 * 1024) })
    const whole = await send(stage.at, '/v1/missions', { method: 'POST', headers: OPERATOR, raw })
    expect([whole.status, whole.json.error.code]).toEqual([413, 'body_too_large'])
    const chunked = await send(stage.at, '/v1/missions', {
      method: 'POST',
      headers: { ...OPERATOR, 'transfer-encoding': 'chunked' },
      raw,
    })
    expect(chunked.status).toBe(413)
  })

  test('a route without a body takes none, and an empty object', async () => {
    const path = `/v1/missions/${MISSION}/pause`
    expect((await send(stage.at, path, { method: 'POST', headers: OPERATOR })).status).toBe(200)
    expect((await send(stage.at, path, { method: 'POST', headers: OPERATOR, body: {} })).status).toBe(200)
    expect((await send(stage.at, path, { method: 'POST', headers: OPERATOR, body: { force: true } })).status).toBe(400)
  })

  test('a body whose fields all have defaults may be left out', async () => {
    const path = `/v1/missions/${MISSION}/seats/builder/kill`
    expect((await send(stage.at, path, { method: 'POST', headers: OPERATOR })).status).toBe(200)
    expect((await send(stage.at, path, { method: 'POST', headers: OPERATOR, body: { signal: 'SIGFUN' } })).status).toBe(
      400,
    )
  })
})

describe('queries', () => {
  test.each([
    ['/v1/missions?colour=red', 'colour'],
    ['/v1/missions?limit=ten', 'limit'],
    ['/v1/missions?limit=-1', 'limit'],
    ['/v1/missions?limit=1001', 'limit'],
    ['/v1/missions?limit=1&limit=2', 'limit'],
    ['/v1/missions?all=yes', 'all'],
    ['/v1/missions?__proto__=1', '__proto__'],
    ['/v1/missions?after=nothing', 'after'],
    [`/v1/missions/${MISSION}?x=1`, 'x'],
    ['/v1/events?types=no_such_type', 'types'],
    ['/v1/events?mission_id=x', 'mission_id'],
    ['/healthz?x=1', 'x'],
  ])('%s names %s', async (path, field) => {
    const answer = await get(path)
    expect([answer.status, answer.json?.error.code]).toEqual([400, 'invalid_request'])
    expect(answer.json.error.message).toContain(field)
  })
})

test('pages follow each other by `next`', async () => {
  const seats = ['a', 'b', 'c', 'd', 'e'].map((id) => seatOf(id))
  await using paged = await raise(applicationOf(seats))
  const found: string[] = []
  let next: string | null = ''
  while (next !== null) {
    const after: string = next === '' ? '' : `&after=${next}`
    const { json } = await send(paged.at, `/v1/missions/${MISSION}/seats?limit=2${after}`, { headers: OPERATOR })
    found.push(...json.seats.map((seat: { agent_id: string }) => seat.agent_id))
    next = json.next
  }
  expect(found).toEqual(['a', 'b', 'c', 'd', 'e'])
})
