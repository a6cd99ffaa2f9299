import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Answer, PitProcess } from '../support/pit-process.ts'
import { makeRepository } from '../support/repository.ts'

/** What cannot be restored, revived or forked is refused with a reason, and leaves the seat as it was. */
let pit: PitProcess
let repository: Awaited<ReturnType<typeof makeRepository>>
let mission: string
let seat: string
let token: string
beforeAll(async () => {
  pit = await PitProcess.start()
  repository = await makeRepository()
  mission = await open('level_2', { repo: repository.path })
  seat = `${mission}/seats/phoenix`
  token = (await take(mission)).token
})
afterAll(async () => {
  await pit?.[Symbol.asyncDispose]()
  await repository?.[Symbol.asyncDispose]()
})

async function open(isolation_level: string, changes: object = {}): Promise<string> {
  const { body } = await pit.call('POST', '/v1/missions', { mission_name: 'refusals', isolation_level, ...changes })
  return `/v1/missions/${body.mission_id}`
}

async function take(at: string, agent_id = 'phoenix'): Promise<Answer['body']> {
  const { status, body } = await pit.call('POST', `${at}/seats`, { agent_id, command: ['sleep', '600'] })
  expect(status, JSON.stringify(body)).toBe(201)
  return body
}

const checkpoint = async (at: string): Promise<string> =>
  (await pit.call('POST', `${at}/checkpoints`, {})).body.checkpoint_id

async function refused(path: string, body: object, status: number, code: string): Promise<void> {
  const before = (await pit.call('GET', seat)).body
  const answer = await pit.call('POST', path, body)
  expect([answer.status, answer.body.error?.code], JSON.stringify(answer.body)).toEqual([status, code])
  expect(answer.body.error.remedy).not.toBe('')
  expect((await pit.call('GET', seat)).body).toEqual(before)
}

test('a checkpoint that there is not, that is of another seat, or that was pruned', async () => {
  await take(mission, 'other')
  const foreign = await checkpoint(`${mission}/seats/other`)
  const pruned = await checkpoint(seat)
  expect((await pit.call('DELETE', `${seat}/checkpoints/${pruned}`)).status).toBe(200)
  for (const checkpoint_id of [`ckpt_${'0'.repeat(24)}`, foreign, pruned]) {
    await refused(`${seat}/restore`, { checkpoint_id }, 404, 'checkpoint_not_found')
    await refused(`${seat}/checkpoints/${checkpoint_id}/verify`, {}, 404, 'checkpoint_not_found')
    await refused(`${seat}/checkpoints/${checkpoint_id}/fork`, { agent_id: 'fork' }, 404, 'checkpoint_not_found')
  }
  for (const checkpoint_id of ['../../other', 'ckpt_x', '', '__proto__'])
    await refused(`${seat}/restore`, { checkpoint_id }, 400, 'invalid_request')
})

test('an active seat is not revived, with or without a checkpoint or a substitute', async () => {
  const checkpoint_id = await checkpoint(seat)
  for (const request of [{}, { checkpoint_id }, { agent_id: 'substitute' }])
    await refused(`${seat}/revive`, request, 409, 'conflict')
  expect((await pit.call('GET', `${mission}/seats/substitute`)).status).toBe(404)
})

test('nothing is revived, restored or forked in a mission that is paused', async () => {
  const checkpoint_id = await checkpoint(seat)
  await pit.call('POST', `${mission}/pause`)
  await refused(`${seat}/revive`, {}, 409, 'conflict')
  await refused(`${seat}/restore`, { checkpoint_id }, 409, 'conflict')
  await refused(`${seat}/checkpoints/${checkpoint_id}/fork`, { agent_id: 'fork' }, 409, 'conflict')
  await pit.call('POST', `${mission}/resume`)
})

test('a fork into a mission of another base, or a place that is taken', async () => {
  const checkpoint_id = await checkpoint(seat)
  const fork = `${seat}/checkpoints/${checkpoint_id}/fork`
  const empty = await open('level_2')
  await refused(fork, { agent_id: 'fork', mission: empty.split('/').at(-1) }, 409, 'conflict')
  await refused(fork, { agent_id: 'phoenix' }, 409, 'conflict')
  await refused(fork, { agent_id: 'fork', mission: '0b7c7f8e-53c7-4d2a-9d55-1f7c3f1b2a10' }, 404, 'mission_not_found')
})

test('two checkpoints at once are both taken, one after the other', async () => {
  const both = await Promise.all([0, 1].map(() => pit.call('POST', `${seat}/checkpoints`, {})))
  expect(both.map(({ status }) => status)).toEqual([201, 201])
  const [a, b] = both.map(({ body }) => body.sequence)
  expect(Math.abs(a - b)).toBe(1)
})

test.each(['level_1', 'level_2', 'level_3'])(
  '%s: the dead generation has no token, no socket and no door',
  async (level) => {
    const at = level === 'level_2' ? mission : await open(level)
    const own = level === 'level_2' ? token : (await take(at)).token
    const path = `${at}/seats/phoenix`
    const ask = (held: string) => pit.call('GET', path, undefined, held)
    expect((await ask(own)).status).toBe(200)
    const { generation } = (await pit.call('GET', path)).body
    await pit.call('POST', `${path}/kill`, {})
    await pit.until(path, (now) => now.status === 'active' && now.generation === generation + 1)
    expect((await ask(own)).status).toBe(401)
    expect((await pit.call('POST', `${path}/exec`, { command: ['true'] }, own)).status).toBe(401)
    const doors = await readdir(join(pit.stateDir, 'doors', at.split('/').at(-1)!))
    expect(doors.filter((name) => name.startsWith('phoenix'))).toEqual([`phoenix.${generation + 1}`])
    const self = ['curl', '-sS', '--unix-socket', '/run/lazarus/cell.sock', 'http://pit/v1/self']
    const { body } = await pit.call('POST', `${path}/exec`, { command: self })
    expect(JSON.parse(body.stdout)).toMatchObject({ agent_id: 'phoenix', generation: generation + 1 })
  },
)
