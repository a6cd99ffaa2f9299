import { afterAll, beforeAll, expect, test } from 'vitest'
import { PitProcess } from '../support/pit-process.ts'

let pit: PitProcess
beforeAll(async () => {
  pit = await PitProcess.start()
})
afterAll(() => pit?.[Symbol.asyncDispose]())

test('a mission whose time is over takes a last checkpoint of its seats, ends them, and fails', async () => {
  const request = { mission_name: 'short', isolation_level: 'level_2', timeout: 2 }
  const { body: mission } = await pit.call('POST', '/v1/missions', request)
  const at = `/v1/missions/${mission.mission_id}`
  await pit.call('POST', `${at}/seats`, { agent_id: 'late', command: ['sh', '-c', 'echo work >work; sleep 600'] })
  const failed = await pit.until(at, (now) => now.status === 'failed' && now.seats[0].status === 'dead')
  expect(failed.seats[0]).toMatchObject({ exit: { noticed_by: 'mission_failed' }, generation: 1 })
  expect((await pit.call('GET', `${at}/seats/late/checkpoints`)).body.checkpoints.at(-1).reason).toBe('mission timeout')
  const { body } = await pit.call('GET', `/v1/events?mission_id=${mission.mission_id}&types=mission_failed`)
  expect(body.events[0].data.reason).toContain('2 s')
  expect((await pit.call('POST', `${at}/seats`, { agent_id: 'more' })).body.error.code).toBe('conflict')
})
