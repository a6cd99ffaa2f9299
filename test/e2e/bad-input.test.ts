import { execFileSync } from 'node:child_process'
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PitProcess } from '../support/pit-process.ts'
import { makeRepository } from '../support/repository.ts'
import { ROOT } from '../support/source-tree.ts'

/** Every bad input gets a clear error from the catalogue, and leaves nothing behind. */
let pit: PitProcess
let repository: Awaited<ReturnType<typeof makeRepository>>
beforeAll(async () => {
  pit = await PitProcess.create()
  await mkdir(join(pit.homesDir, 'alice', 'project'), { recursive: true })
  await symlink(join(pit.homesDir, 'alice'), join(pit.homesDir, '..', 'innocent'))
  await pit.configure({ homes: [`${pit.homesDir}/*`] })
  await pit.start()
  repository = await makeRepository()
})
afterAll(async () => {
  await pit?.[Symbol.asyncDispose]()
  await repository?.[Symbol.asyncDispose]()
})

type Body = () => object | string
const mission = (changes: object): object => ({ mission_name: 'bad', isolation_level: 'level_2', ...changes })
const left = async () => (await readdir(join(pit.stateDir, 'missions')).catch(() => [])).length

async function refused(body: object | string, status: number, code: string): Promise<string> {
  const before = await left()
  const answer = await pit.call('POST', '/v1/missions', body)
  expect([answer.status, answer.body.error?.code]).toEqual([status, code])
  expect(answer.body.error.remedy).not.toBe('')
  expect(await left()).toBe(before)
  return answer.body.error.message
}

describe('a mission is refused', () => {
  const cases: readonly (readonly [what: string, body: Body, status: number, code: string])[] = [
    [
      'a repository that does not exist',
      () => mission({ repo: '/var/tmp/no-such-repository' }),
      400,
      'repository_unavailable',
    ],
    [
      'a ref that does not exist',
      () => mission({ repo: repository.path, ref: 'no-such-branch' }),
      400,
      'ref_not_found',
    ],
    [
      'a ref that looks like an option',
      () => mission({ repo: repository.path, ref: '--upload-pack=x' }),
      400,
      'invalid_request',
    ],
    [
      'a repository that runs a command',
      () => mission({ repo: 'ext::sh -c "touch /tmp/owned"' }),
      400,
      'repository_unavailable',
    ],
    ['a repository that is a home', () => mission({ repo: join(pit.homesDir, 'alice') }), 422, 'home_mount_refused'],
    [
      'a repository that lies in a home',
      () => mission({ repo: `file://${join(pit.homesDir, 'alice', 'project')}` }),
      422,
      'home_mount_refused',
    ],
    ['a repository that contains a home', () => mission({ repo: pit.homesDir }), 422, 'home_mount_refused'],
    [
      'a home through a symlink',
      () => mission({ repo: join(pit.homesDir, '..', 'innocent', 'project') }),
      422,
      'home_mount_refused',
    ],
    [
      'a home through ..',
      () => mission({ repo: `${join(pit.stateDir)}/../homes/alice/project` }),
      422,
      'home_mount_refused',
    ],
    ['a field that nobody knows', () => mission({ repository: 'x' }), 400, 'invalid_request'],
    ['a level that does not exist', () => mission({ isolation_level: 'level_9' }), 400, 'invalid_request'],
    [
      'level none, which the configuration does not allow',
      () => mission({ isolation_level: 'none' }),
      503,
      'isolation_unavailable',
    ],
    [
      'an allow-list network, which does not exist yet',
      () => mission({ policy: { network: 'allowlist' } }),
      503,
      'isolation_unavailable',
    ],
    ['a name with a newline', () => mission({ mission_name: 'a\nb' }), 400, 'invalid_request'],
    [
      'a prototype',
      () => '{"mission_name":"x","isolation_level":"level_2","__proto__":{"repo":"/"}}',
      400,
      'invalid_request',
    ],
  ]
  test.each(cases)('%s', async (_, body, status, code) => {
    expect(await refused(body(), status, code)).not.toBe('')
  })
})

describe('ids are refused', () => {
  test.each(['..', '%2e%2e', 'a%0Ab', '__proto__', 'A', 'x'.repeat(300)])('mission id %s', async (id) => {
    const { status, body } = await pit.call('GET', `/v1/missions/${id}`)
    expect([400, 404]).toContain(status)
    expect(['invalid_request', 'not_found']).toContain(body.error.code)
  })

  test.each(['..', '__proto__', 'a b', 'A', '-x', '', 'x'.repeat(64), 'a\nb', 'a/b', 'ü'])(
    'agent id %j',
    async (agent_id) => {
      const { body: created } = await pit.call('POST', '/v1/missions', mission({ mission_name: 'ids' }))
      const { status, body } = await pit.call('POST', `/v1/missions/${created.mission_id}/seats`, { agent_id })
      expect([status, body.error.code]).toEqual([400, 'invalid_request'])
      await pit.call('DELETE', `/v1/missions/${created.mission_id}`)
    },
  )
})

test('a seat whose command does not exist dies with 127, and is no server error', async () => {
  const { body: created } = await pit.call('POST', '/v1/missions', mission({ policies: { auto_revive: 'no' } }))
  const { status } = await pit.call('POST', `/v1/missions/${created.mission_id}/seats`, {
    agent_id: 'ghost',
    command: ['no-such-program'],
  })
  expect(status).toBe(201)
  const seat = await pit.until(`/v1/missions/${created.mission_id}/seats/ghost`, (answer) => answer.status === 'dead')
  expect(seat.exit).toMatchObject({ cause: 'exit', code: 127 })
  await pit.call('DELETE', `/v1/missions/${created.mission_id}?force=true`)
})

test('a mission at level_3 whose image does not exist, or cannot be built, is refused, and leaves nothing', async () => {
  const containerfile = join(pit.stateDir, 'context', 'Containerfile')
  await mkdir(dirname(containerfile), { recursive: true })
  await writeFile(containerfile, 'FROM localhost/no-such-image\n')
  for (const policy of [{ image: 'localhost/no-such-image' }, { containerfile }, { containerfile: '/no/such/file' }]) {
    await refused(mission({ isolation_level: 'level_3', policy }), 400, 'image_unavailable')
  }
})

test('a seat whose image has gone since at level_3 is refused, and leaves nothing', async () => {
  const image = `localhost/lazarus-test-gone:${process.pid}`
  const cell = execFileSync(join(ROOT, 'images/cell/tag'), { encoding: 'utf8' }).trim()
  execFileSync('podman', ['tag', cell, image])
  const { body: created } = await pit.call(
    'POST',
    '/v1/missions',
    mission({ isolation_level: 'level_3', policy: { image } }),
  )
  execFileSync('podman', ['untag', image, image])
  const seats = `/v1/missions/${created.mission_id}/seats`
  const { status, body } = await pit.call('POST', seats, { agent_id: 'homeless' })
  expect([status, body.error.code]).toEqual([400, 'image_unavailable'])
  expect((await pit.call('GET', `${seats}/homeless`)).body).toMatchObject({
    status: 'failed',
    error: { code: 'image_unavailable' },
  })
  expect(await readdir(join(created.directory, 'worktree')).catch(() => [])).toEqual([])
  expect((await pit.call('DELETE', `/v1/missions/${created.mission_id}`)).status).toBe(200)
})

test('a limit that this host cannot enforce fails the spawn when it was asked for by name', async () => {
  const host = (await pit.call('GET', '/v1/host')).body
  const { body: created } = await pit.call('POST', '/v1/missions', mission({}))
  const { status, body } = await pit.call('POST', `/v1/missions/${created.mission_id}/seats`, {
    agent_id: 'bounded',
    limits: { memory: 64 * 1024 ** 2 },
  })
  if (host.delegated_controllers.includes('memory')) {
    expect(body.isolation.effective.limits.memory).toEqual({ value: 64 * 1024 ** 2, enforced_by: 'cgroup' })
  } else {
    expect([status, body.error.code, body.error.details.shortfalls]).toEqual([
      422,
      'isolation_degraded',
      ['limits.memory'],
    ])
  }
  await pit.call('DELETE', `/v1/missions/${created.mission_id}?force=true`)
})
