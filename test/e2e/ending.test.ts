import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PitProcess } from '../support/pit-process.ts'
import { git, makeRepository } from '../support/repository.ts'

/** Pause, complete, archive, withdraw: at every level, with a real agent that works all the time. */
let pit: PitProcess
let repository: Awaited<ReturnType<typeof makeRepository>>
beforeAll(async () => {
  pit = await PitProcess.start()
  repository = await makeRepository()
})
afterAll(async () => {
  await pit?.[Symbol.asyncDispose]()
  await repository?.[Symbol.asyncDispose]()
})

const TICKING = ['sh', '-c', 'while :; do echo tick; sleep 0.02; done']

describe.each(['level_1', 'level_2', 'level_3'])('the end of a mission at %s', (level) => {
  let id: string
  const mission = async (verb: string) => pit.call('POST', `/v1/missions/${id}/${verb}`)
  const seat = (agent: string) => `/v1/missions/${id}/seats/${agent}`
  const ticks = async () => (await pit.call('GET', `${seat('worker')}/logs`)).body.split('tick').length
  const sh = async (script: string) =>
    (await pit.call('POST', `${seat('worker')}/exec`, { command: ['sh', '-c', script] })).body

  test('pause freezes the agent, resume lets it go on', async () => {
    const { body } = await pit.call('POST', '/v1/missions', {
      mission_name: 'end',
      isolation_level: level,
      repo: repository.path,
    })
    id = body.mission_id
    await pit.call('POST', `/v1/missions/${id}/seats`, { agent_id: 'worker', command: TICKING })
    expect((await mission('pause')).body).toMatchObject({ status: 'paused', seats: [{ status: 'paused' }] })
    const frozen = await ticks()
    expect((await pit.call('POST', `/v1/missions/${id}/seats`, { agent_id: 'late' })).status).toBe(409)
    expect(await ticks()).toBe(frozen)
    expect((await mission('resume')).body).toMatchObject({ status: 'active', seats: [{ status: 'active' }] })
    await expect.poll(ticks, { timeout: 10_000 }).toBeGreaterThan(frozen)
  })

  test('the size of what the seat wrote is known', async () => {
    await sh('dd if=/dev/urandom of=/workspace/large bs=64k count=16 status=none')
    const { body } = await pit.call('GET', `${seat('worker')}/usage`)
    expect(body.bytes).toBeGreaterThanOrEqual(1024 ** 2)
    expect(body.bytes).toBeLessThan(2 * 1024 ** 2)
    expect(body.limit).toBeGreaterThan(body.bytes)
  })

  test('complete ends the sandbox and keeps the work', async () => {
    await sh('rm large; echo done > done && git add done && git commit -qm Done')
    expect((await mission('archive')).body.error.code).toBe('conflict')
    expect((await mission('complete')).body).toMatchObject({ status: 'completed', seats: [{ status: 'dead' }] })
    expect((await pit.call('POST', `${seat('worker')}/exec`, { command: ['true'] })).status).toBe(409)
    expect((await mission('archive')).body.error.code).toBe('work_uncollected')
    expect((await pit.call('POST', `${seat('worker')}/collect`)).body).toMatchObject({ outcome: 'delivered' })
  })

  test('archive keeps a record that stands alone, and nothing else', async () => {
    const { status, body } = await mission('archive')
    expect(body.error ?? undefined).toBeUndefined()
    expect([status, body.status]).toEqual([200, 'archived'])
    const record = JSON.parse(readFileSync(join(body.directory, 'record.json'), 'utf8'))
    expect(JSON.stringify(record)).toContain(id)
    expect(existsSync(join(body.directory, 'worktree'))).toBe(false)
    expect(await git(join(body.directory, 'repository.git'), 'log', '--format=%s', '-1', 'mission/worker')).toBe('Done')
    expect(await mission('archive')).toMatchObject({ status: 200 })
    expect((await pit.call('DELETE', `/v1/missions/${id}`)).body).toMatchObject({ status: 'destroyed' })
    expect(existsSync(body.directory)).toBe(false)
  })

  test('a seat is withdrawn alone: refused with uncollected work, saved and gone with force', async () => {
    const created = await pit.call('POST', '/v1/missions', { mission_name: 'withdraw', isolation_level: level })
    id = created.body.mission_id
    await pit.call('POST', `/v1/missions/${id}/seats`, { agent_id: 'worker' })
    await sh('echo draft > draft')
    expect((await pit.call('DELETE', seat('worker'))).body.error).toMatchObject({
      code: 'work_uncollected',
      details: { seats: { worker: { paths: ['draft'] } } },
    })
    const { body } = await pit.call('DELETE', `${seat('worker')}?force=true`)
    expect(body).toMatchObject({ seat: { status: 'withdrawn' }, final_checkpoint: { agent_id: 'worker' } })
    expect(existsSync(body.final_checkpoint.path)).toBe(true)
    expect(await pit.call('POST', `/v1/missions/${id}/seats`, { agent_id: 'worker' })).toMatchObject({
      status: 201,
      body: { generation: 2 },
    })
    expect((await sh('ls -A /workspace')).stdout).toBe('.git\n')
    expect((await pit.call('DELETE', `/v1/missions/${id}`)).status).toBe(200)
  })
})
