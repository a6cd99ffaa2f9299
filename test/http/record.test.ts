import { expect, test } from 'vitest'
import { applicationOf, bearer, MISSION, OPERATOR, OPERATOR_TOKEN, raise, seatOf, seatToken, send } from './stage.ts'

const builder = seatOf('builder')

test('one line per request: what was asked by whom and how it ended, no secret in it', async () => {
  await using stage = await raise(
    applicationOf([builder], {
      execWhole: async () => ({
        exit_code: 0,
        signal: null,
        stdout: 'out',
        stderr: '',
        truncated: false,
        timed_out: false,
        duration_ms: 1,
      }),
    }),
  )
  const path = `/v1/missions/${MISSION}/seats/builder/exec`
  const body = { command: ['sh', '-c', 'echo canary-command'], env: { KEY: 'canary-env' }, stdin: 'canary-stdin' }
  const answer = await send(stage.at, path, { method: 'POST', headers: bearer(seatToken('builder')), body })
  await send(stage.at, `/v1/missions?after=canary-query`, { headers: OPERATOR })
  await send(stage.at, '/v1/missions', { headers: { authorization: 'Bearer canary-token' } })
  await expect.poll(() => stage.log.filter((line) => line.message === 'request').length).toBe(3)
  const [exec, list, refused] = stage.log.filter((line) => line.message === 'request')
  expect(exec).toMatchObject({
    level: 'info',
    request_id: answer.headers['x-request-id'],
    method: 'POST',
    route: '/v1/missions/:mission_id/seats/:agent_id/exec',
    status: 200,
    caller: 'seat',
    via: 'token',
    mission_id: MISSION,
    agent_id: 'builder',
    ms: expect.any(Number),
  })
  expect(list).toMatchObject({ caller: 'operator', status: 400 })
  expect(refused).toMatchObject({ caller: 'nobody', status: 401 })
  const text = JSON.stringify(stage.log)
  for (const secret of ['canary', OPERATOR_TOKEN, seatToken('builder')]) expect(text).not.toContain(secret)
})

test('metrics: missions, seats by status, requests by route, the process', async () => {
  await using stage = await raise(applicationOf([builder, seatOf('dead-one', { status: 'dead' })]))
  await send(stage.at, `/v1/missions/${MISSION}`, { headers: OPERATOR })
  await send(stage.at, '/v1/nothing')
  await expect.poll(() => stage.log.length).toBe(2)
  const { text, headers } = await send(stage.at, '/metrics', { headers: OPERATOR })
  expect(headers['content-type']).toContain('text/plain')
  expect(text).toContain('lazarus_missions{status="active"} 1')
  expect(text).toContain('lazarus_seats{status="active"} 1')
  expect(text).toContain('lazarus_seats{status="dead"} 1')
  expect(text).toContain(
    'lazarus_http_request_duration_seconds_count{method="GET",route="/v1/missions/:mission_id",status="200"} 1',
  )
  expect(text).toContain('route="unmatched",status="404"} 1')
  expect(text).toContain('process_resident_memory_bytes')
})
