import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PitProcess } from '../support/pit-process.ts'
import { git, makeRepository } from '../support/repository.ts'

/** The first of the four sentences, at every level, over REST, with a daemon of its own and a real repository. */
let pit: PitProcess
let repository: Awaited<ReturnType<typeof makeRepository>>
beforeAll(async () => {
  pit = await PitProcess.start()
  repository = await makeRepository({ 'README.md': '# Project\n', 'src/main.txt': 'one\n' })
})
afterAll(async () => {
  await pit?.[Symbol.asyncDispose]()
  await repository?.[Symbol.asyncDispose]()
})

describe.each(['level_1', 'level_2', 'level_3'])('a mission at %s', (level) => {
  let id: string
  const seats = () => `/v1/missions/${id}/seats`
  const exec = async (agent: string, command: string[], extra: object = {}) => {
    const { status, body } = await pit.call('POST', `${seats()}/${agent}/exec`, { command, ...extra })
    expect(status).toBe(200)
    return body
  }
  const sh = (agent: string, script: string) => exec(agent, ['sh', '-c', script])

  test('is opened on a real repository', async () => {
    const { status, body } = await pit.call('POST', '/v1/missions', {
      mission_name: `e2e ${level}`,
      isolation_level: level,
      repo: repository.path,
      policies: { auto_revive: 'no' },
    })
    expect(body.error ?? undefined).toBeUndefined()
    expect(status).toBe(201)
    expect(body).toMatchObject({
      status: 'active',
      isolation_level: level,
      base: { commit: repository.head },
      seats: [],
    })
    id = body.mission_id
  })

  test('seats two agents, whose isolation is measured', async () => {
    for (const agent_id of ['ada', 'bob']) {
      const { status, body } = await pit.call('POST', seats(), { agent_id, role: 'write' })
      expect(body.error ?? undefined).toBeUndefined()
      expect(status).toBe(201)
      expect(body).toMatchObject({ agent_id, status: 'active', generation: 1, branch: `mission/${agent_id}` })
      expect(body.isolation.effective).toMatchObject({
        no_new_privs: true,
        capabilities: [],
        network: 'none',
        workspace: 'overlay',
      })
      expect(body.isolation.effective.namespaces).toEqual(
        expect.arrayContaining(['user', 'mount', 'pid', 'ipc', 'uts', 'network']),
      )
    }
  })

  test('has the same inside at every level', async () => {
    const { stdout } = await sh(
      'ada',
      'id -u; pwd; echo $HOME; ls -d /workspace /home/agent /artifacts /mission /tmp; test -S /run/lazarus/cell.sock && echo socket; git status --porcelain --branch',
    )
    expect(stdout.trim().split('\n')).toEqual([
      '1000',
      '/workspace',
      '/home/agent',
      '/artifacts',
      '/home/agent',
      '/mission',
      '/tmp',
      '/workspace',
      'socket',
      '## mission/ada',
    ])
    const env = (await exec('ada', ['env'])).stdout
      .trim()
      .split('\n')
      .map((line: string) => line.split('=')[0])
      .filter((name: string) => !['PWD', 'SHLVL', '_', 'OLDPWD'].includes(name))
    expect(env.sort()).toEqual([
      'HOME',
      'LANG',
      'LAZARUS_AGENT_ID',
      'LAZARUS_GENERATION',
      'LAZARUS_LEVEL',
      'LAZARUS_MISSION_ID',
      'LAZARUS_ROLE',
      'LAZARUS_SOCKET',
      'PATH',
      'TERM',
      'TZ',
      'USER',
    ])
  })

  test('answers on the cell socket as the seat that holds it', async () => {
    const { stdout, stderr } = await exec('ada', [
      'curl',
      '-sS',
      '--unix-socket',
      '/run/lazarus/cell.sock',
      'http://pit/v1/self',
    ])
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toMatchObject({ agent_id: 'ada', mission_id: id, role: 'write' })
    const denied = await exec('ada', [
      'curl',
      '-sS',
      '--unix-socket',
      '/run/lazarus/cell.sock',
      'http://pit/v1/missions',
    ])
    expect(JSON.parse(denied.stdout).error.code).toBe('forbidden')
  })

  test('lets two agents commit at once without seeing each other', async () => {
    await Promise.all([
      sh('ada', 'echo ada > who && git add who && git commit -qm "Ada was here"'),
      sh('bob', 'echo bob > who && git add who && git commit -qm "Bob was here" && echo more >> src/main.txt'),
    ])
    expect((await sh('ada', 'cat who; git log --oneline | wc -l; git branch')).stdout).toBe('ada\n2\n* mission/ada\n')
    expect((await sh('bob', 'cat who; git status --porcelain')).stdout).toBe('bob\n M src/main.txt\n')
  })

  test('runs stash, branch and log like any checkout', async () => {
    const { stdout, stderr, exit_code } = await sh(
      'ada',
      'echo x >> README.md && git stash -q && git stash list && git checkout -q -b side && git checkout -q mission/ada && git stash pop -q && git checkout README.md && git branch -D side -q && git status --porcelain',
    )
    expect({ stdout, stderr, exit_code }).toMatchObject({ exit_code: 0, stdout: expect.stringContaining('stash@{0}') })
  })

  test('hands on exit codes, signals, stdin, timeouts and a missing command', async () => {
    expect(await sh('ada', 'exit 7')).toMatchObject({ exit_code: 7, signal: null })
    expect(await sh('ada', 'kill -TERM $$')).toMatchObject({ exit_code: 143, signal: 'SIGTERM' })
    expect(await exec('ada', ['no-such-command'])).toMatchObject({ exit_code: 127 })
    expect(await exec('ada', ['cat'], { stdin: 'given\n' })).toMatchObject({ exit_code: 0, stdout: 'given\n' })
    expect(await exec('ada', ['sleep', '60'], { timeout: 0.3 })).toMatchObject({ timed_out: true })
  })

  test('shows committed and uncommitted work as a diff', async () => {
    const { body, headers } = await pit.call('GET', `${seats()}/bob/diff`)
    expect(headers.get('content-type')).toContain('text/x-diff')
    expect(body).toContain('+bob')
    expect(body).toContain('+more')
  })

  test('collects the commits into the trusted repository, on a branch of its own', async () => {
    const { status, body } = await pit.call('POST', `${seats()}/ada/collect`)
    expect(body.error ?? undefined).toBeUndefined()
    expect(status).toBe(200)
    expect(body).toMatchObject({
      branch: 'mission/ada',
      base: repository.head,
      outcome: 'delivered',
      commits: [{ subject: 'Ada was here' }],
    })
    expect(await git(body.repository, 'log', '--format=%s', '-1', 'refs/heads/mission/ada')).toBe('Ada was here')
    expect(await git(body.repository, 'for-each-ref', '--format=%(refname)', 'refs/heads/mission')).toBe(
      'refs/heads/mission/ada',
    )
  })

  test('refuses to end while a seat holds uncollected work', async () => {
    const { status, body } = await pit.call('DELETE', `/v1/missions/${id}`)
    expect([status, body.error.code]).toEqual([409, 'work_uncollected'])
    expect(Object.keys(body.error.details.seats)).toEqual(['bob'])
    expect((await sh('ada', 'echo alive')).stdout).toBe('alive\n')
  })

  test('keeps the output of an agent, and tells its death with the cause', async () => {
    const { body } = await pit.call('POST', seats(), {
      agent_id: 'cid',
      command: ['sh', '-c', 'echo working; echo oops >&2; exit 3'],
    })
    expect(body.error ?? undefined).toBeUndefined()
    await pit.until(`/v1/events?mission_id=${id}&types=seat_exited`, (answer) => answer.events.length > 0)
    const seat = (await pit.call('GET', `${seats()}/cid`)).body
    expect(seat).toMatchObject({ status: 'dead', exit: { cause: 'exit', code: 3, signal: null } })
    expect((await pit.call('GET', `${seats()}/cid/logs`)).body.split('\n').sort()).toEqual(['', 'oops', 'working'])
  })

  test('is destroyed with a last snapshot and the proof that no home changed', async () => {
    const directory = (await pit.call('GET', `/v1/missions/${id}`)).body.directory
    const { status, body } = await pit.call('DELETE', `/v1/missions/${id}?force=true`)
    expect(body.error ?? undefined).toBeUndefined()
    expect(status).toBe(200)
    expect(body).toMatchObject({ mission_id: id, status: 'destroyed', homes: { changed: [] } })
    expect(body.homes.checked).toBeGreaterThan(0)
    expect(body.final_checkpoints.map((c: { agent_id: string }) => c.agent_id)).toEqual(
      expect.arrayContaining(['ada', 'bob']),
    )
    expect(existsSync(directory)).toBe(false)
    expect(await pit.call('DELETE', `/v1/missions/${id}`)).toMatchObject({ status: 200, body })
    expect(body.collected.branches).toEqual(['mission/ada'])
    await git(repository.path, 'fetch', '-q', body.collected.path, 'mission/ada')
    expect(await git(repository.path, 'log', '--format=%s', `${repository.head}..FETCH_HEAD`)).toBe('Ada was here')
  })
})
