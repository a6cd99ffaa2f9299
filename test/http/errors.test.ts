import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { errorBody } from '../../src/contract/api.ts'
import { ERRORS, type ErrorCode, LazarusError } from '../../src/kernel/errors.ts'
import { applicationOf, MISSION, OPERATOR, raise, type Stage, send } from './stage.ts'

let stage: Stage
let thrown: unknown
beforeAll(async () => {
  stage = await raise(
    applicationOf([], {
      pauseMission: async () => {
        throw thrown
      },
    }),
  )
})
afterAll(() => stage[Symbol.asyncDispose]())

const failWith = (error: unknown) => {
  thrown = error
  return send(stage.at, `/v1/missions/${MISSION}/pause`, { method: 'POST', headers: OPERATOR })
}

test.each(Object.keys(ERRORS) as ErrorCode[])(
  '%s has the status of the catalogue and the shape of the contract',
  async (code) => {
    const answer = await failWith(new LazarusError(code, 'what happened', { details: { a: 1 } }))
    expect(answer.status).toBe(ERRORS[code].status)
    const { error } = errorBody.parse(answer.json)
    expect(error).toMatchObject({ code, remedy: ERRORS[code].remedy, retryable: ERRORS[code].retryable })
    if (code !== 'internal') expect(error).toMatchObject({ message: 'what happened', details: { a: 1 } })
  },
)

test('what nobody expected tells the client a request id, and the log the rest', async () => {
  const answer = await failWith(new TypeError('secret: /etc/shadow at line 7'))
  expect(answer.status).toBe(500)
  expect(answer.text).not.toContain('secret')
  expect(answer.json.error.details).toEqual({ request_id: answer.headers['x-request-id'] })
  const line = stage.log.find((one) => one.level === 'error' && one.request_id === answer.headers['x-request-id'])
  expect(String(line?.err)).toContain('secret')
})

test('a full disk is storage_full', async () => {
  const answer = await failWith(Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' }))
  expect([answer.status, answer.json.error.code]).toEqual([507, 'storage_full'])
})

describe('routes', () => {
  test.each(['/', '/v1', '/v1/nothing', '/v1/missions/', '/V1/missions', '//v1/missions', '/v1/missions/..'])(
    '%s',
    async (path) => {
      const answer = await send(stage.at, path, { headers: OPERATOR })
      expect([400, 404]).toContain(answer.status)
      expect(errorBody.safeParse(answer.json).success).toBe(true)
    },
  )

  test('an unknown route is not_found', async () => {
    expect((await send(stage.at, '/v1/nothing')).json.error.code).toBe('not_found')
  })

  test.each([
    ['PUT', '/v1/missions', 'GET, POST'],
    ['DELETE', '/v1/host', 'GET'],
    ['OPTIONS', '/v1/missions', 'GET, POST'],
    ['PATCH', `/v1/missions/${MISSION}`, 'DELETE, GET'],
  ])('%s %s is 405 and says what is allowed', async (method, path, allow) => {
    const answer = await send(stage.at, path, { method, headers: OPERATOR })
    expect([answer.status, answer.json.error.code, answer.headers.allow]).toEqual([405, 'method_not_allowed', allow])
  })
})

test('request ids come from the server alone', async () => {
  const answer = await send(stage.at, '/healthz', { headers: { 'x-request-id': 'mine', 'request-id': 'mine' } })
  expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
})

test('every answer carries the headers of a careful server, and none for other origins', async () => {
  for (const path of ['/healthz', '/v1/nothing', '/v1/missions']) {
    const { headers } = await send(stage.at, path)
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
    expect(headers['content-security-policy']).toContain("default-src 'none'")
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control') || name === 'set-cookie')).toEqual(
      [],
    )
  }
})
