import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Answer } from '../support/pit-process.ts'
import { PitProcess } from '../support/pit-process.ts'
import { makeRepository } from '../support/repository.ts'

/** Checkpoints over REST at every level, by hand and by the clock. */
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

async function open(level: string, policies: object = {}, workspace = 'overlay') {
  const request = { mission_name: level, isolation_level: level, repo: repository.path, policies, workspace }
  const { body: mission } = await pit.call('POST', '/v1/missions', request)
  const at = `/v1/missions/${mission.mission_id}`
  const seat = `${at}/seats/ada`
  expect((await pit.call('POST', `${at}/seats`, { agent_id: 'ada' })).status).toBe(201)
  const sh = async (script: string, path = seat): Promise<Answer['body']> =>
    (await pit.call('POST', `${path}/exec`, { command: ['sh', '-c', script] })).body
  const call = async (method: string, path: string, body?: unknown) =>
    (await pit.call(method, `${seat}${path}`, body)).body
  return { mission, at, seat, sh, call, take: (reason?: string) => call('POST', '/checkpoints', { reason }) }
}

describe.each(['level_1', 'level_2', 'level_3'])('%s', (level) => {
  test('is taken, listed, verified, restored; the state before the restore was checkpointed first', async () => {
    const { sh, call, take, seat, at } = await open(level)
    await sh(
      'echo one >a; echo mine >$HOME/b; mkfifo pipe; rm -f README.md; git add -A; git commit -qm one; echo dirty >>a',
    )
    const first = await take('before the mistake')
    expect(first).toMatchObject({ sequence: 1, generation: 1, reason: 'before the mistake', shares: null })
    expect(first.checkpoint_id).toMatch(/^ckpt_[0-9a-f]{24}$/)
    const same = await take()
    expect(same).toMatchObject({ sequence: 2, sha256: first.sha256, shares: first.checkpoint_id })
    expect(await call('POST', `/checkpoints/${first.checkpoint_id}/verify`)).toMatchObject({
      sound: true,
      entries: first.entries,
    })

    await sh('rm -rf a .git $HOME/b; echo mistake >c')
    const back = await call('POST', '/restore', { checkpoint_id: first.checkpoint_id })
    expect(back).toMatchObject({ status: 'active', generation: 2, resumed_from: first.checkpoint_id })
    expect(back.revive_ms).toBeGreaterThan(0)
    const seen = await sh(
      'cat a $HOME/b; test -p pipe && echo fifo; ls c 2>/dev/null; git log --format=%s -1; git status --short; echo $LAZARUS_RESUMED_FROM',
    )
    expect(seen.stdout).toBe(`one\ndirty\nmine\nfifo\none\n M a\n${first.checkpoint_id}\n`)
    const { checkpoints } = await call('GET', '/checkpoints')
    expect(checkpoints.map((c: Answer['body']) => c.reason)).toEqual([
      'before the mistake',
      'asked for',
      'before restore',
    ])

    expect(await call('POST', '/restore', { checkpoint_id: checkpoints[2].checkpoint_id })).toMatchObject({
      generation: 3,
    })
    expect((await sh('cat c')).stdout).toBe('mistake\n')
    expect((await pit.call('GET', seat)).body.status).toBe('active')
    expect((await pit.call('DELETE', `${at}?force=true`)).status).toBe(200)
  })

  test('is forked into a new seat, and into a new mission', async () => {
    const { sh, call, take, at } = await open(level)
    await sh('echo work >a; git add a; git commit -qm work; echo more >b')
    const { checkpoint_id } = await take()
    const fork = await call('POST', `/checkpoints/${checkpoint_id}/fork`, { agent_id: 'bob' })
    expect(fork).toMatchObject({ agent_id: 'bob', status: 'active', branch: 'mission/bob' })
    const look = 'cat a b; git branch --show-current; git log --format=%s -1; git config user.name'
    expect((await sh(look, `${at}/seats/bob`)).stdout).toBe('work\nmore\nmission/bob\nwork\nbob\n')
    await sh('echo other >a; git commit -qam bob', `${at}/seats/bob`)
    expect((await sh('cat a')).stdout).toBe('work\n')
    const collected = (await pit.call('POST', `${at}/seats/bob/collect`)).body
    expect(collected).toMatchObject({ branch: 'mission/bob', commits: [{ subject: 'bob' }, { subject: 'work' }] })

    const elsewhere = await call('POST', `/checkpoints/${checkpoint_id}/fork`, {
      agent_id: 'cid',
      mission: { mission_name: 'another try' },
    })
    expect(elsewhere).toMatchObject({ agent_id: 'cid', status: 'active' })
    const there = `/v1/missions/${elsewhere.mission_id}`
    expect((await sh(look, `${there}/seats/cid`)).stdout).toBe('work\nmore\nmission/cid\nwork\ncid\n')
    expect((await pit.call('DELETE', `${at}?force=true`)).status).toBe(200)
    expect((await sh('cat a', `${there}/seats/cid`)).stdout).toBe('work\n')
    expect((await pit.call('DELETE', `${there}?force=true`)).status).toBe(200)
  })
})

test('a private clone is checkpointed and restored like an overlay', async () => {
  const { sh, call, take } = await open('level_2', {}, 'clone')
  await sh('echo one >a')
  const { checkpoint_id } = await take()
  await sh('rm -rf ..?* .[!.]* *')
  await call('POST', '/restore', { checkpoint_id })
  expect((await sh('cat a; git status --short')).stdout).toBe('one\n?? a\n')
})

test('by the clock: when something changed, and not when nothing did', async () => {
  const { sh, seat, mission } = await open('level_2', { checkpoint_interval: 1 })
  const list = (holds: (body: Answer['body']) => boolean) => pit.until(`${seat}/checkpoints`, holds)
  await list(({ checkpoints }) => checkpoints.length === 1)
  const events = async () =>
    (await pit.call('GET', `/v1/events?mission_id=${mission.mission_id}&types=checkpoint_started,checkpoint_failed`))
      .body.events.length
  const before = await events()
  await sh('sleep 3')
  expect(await events()).toBe(before)
  await sh('echo change >a')
  const { checkpoints } = await list((body) => body.checkpoints.length === 2)
  expect(checkpoints[1]).toMatchObject({ reason: 'interval', paused: true })
})

test('work that the newest checkpoint holds does not keep a mission from being destroyed; later work does', async () => {
  const { sh, at, take } = await open('level_2')
  await sh('echo work >a')
  expect((await pit.call('DELETE', at)).body.error.code).toBe('work_uncollected')
  await take()
  await sh('echo more >b')
  expect((await pit.call('DELETE', at)).body.error.code).toBe('work_uncollected')
  await take()
  const { body } = await pit.call('DELETE', at)
  expect(body).toMatchObject({ status: 'destroyed', final_checkpoints: [{ agent_id: 'ada' }] })
})

test('a checkpoint of the wrong seat, of nothing, or by the wrong id', async () => {
  const { call, take, at } = await open('level_2')
  await pit.call('POST', `${at}/seats`, { agent_id: 'bob' })
  const { checkpoint_id } = await take()
  const restore = async (path: string, id: string) =>
    (await pit.call('POST', `${at}/seats/${path}/restore`, { checkpoint_id: id })).body.error?.code
  expect(await restore('bob', checkpoint_id)).toBe('checkpoint_not_found')
  expect(await restore('ada', `ckpt_${'0'.repeat(24)}`)).toBe('checkpoint_not_found')
  expect(await restore('ada', '../../etc')).toBe('invalid_request')
  expect(await restore('nobody', checkpoint_id)).toBe('seat_not_found')
  expect((await call('DELETE', `/checkpoints/${checkpoint_id}`)).checkpoint_id).toBe(checkpoint_id)
  expect(await restore('ada', checkpoint_id)).toBe('checkpoint_not_found')
  expect((await call('POST', '/revive', {})).error).toMatchObject({ code: 'conflict' })
  await pit.call('POST', `${at}/pause`)
  expect((await pit.call('GET', `${at}/seats/ada`)).body.status).toBe('paused')
  expect(await take('while paused')).toMatchObject({ paused: true })
})
