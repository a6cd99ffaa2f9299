import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Application } from '../../src/app/application.ts'
import type { MissionRequest } from '../../src/contract/mission.ts'
import type { Collection } from '../../src/contract/seat.ts'
import { LazarusError } from '../../src/kernel/errors.ts'
import { AT, applicationOf, MISSION, missionOf, raise, seatOf } from '../http/stage.ts'
import { lazarus, on, recording, scratch, type Terminal } from './terminal.ts'

const IDENTITY = ['-c', 'user.name=Ana', '-c', 'user.email=ana@example.org']
const git = (cwd: string, ...args: string[]): string =>
  execFileSync('git', ['-C', cwd, ...IDENTITY, ...args])
    .toString()
    .trim()

/** A checkout with one commit on main. */
function checkout(path: string): string {
  mkdirSync(path, { recursive: true })
  git(path, 'init', '-q', '-b', 'main')
  writeFileSync(join(path, 'file'), 'one\n')
  git(path, 'add', '.')
  git(path, 'commit', '-q', '-m', 'first')
  return path
}

const runner = seatOf('runner')
const END = { exit_code: 7, signal: null, timed_out: false, duration_ms: 5 }
const NOTHING: Collection = {
  branch: 'mission/runner',
  base: null,
  head: null,
  commits: [],
  outcome: 'no_change',
  uncommitted: [],
  diffstat: { files: 0, insertions: 0, deletions: 0 },
  repository: '/nowhere',
}
const DESTROYED = {
  mission_id: MISSION,
  status: 'destroyed' as const,
  final_checkpoints: [],
  collected: null,
  homes: { checked: 1, entries: 2, unreadable: 0, changed: [] },
  released: { processes: 1, containers: 0, mounts: 1 },
}

interface Opened {
  readonly request: MissionRequest
  /** What the repository that was handed over held, read while the pit may still read it. */
  readonly head: string
  readonly files: string
}

/** A pit that notes what a run asks of it; real git looks into what was handed over. */
function pit(over: Partial<Application> = {}) {
  const opened: Opened[] = []
  const recorded = recording(
    applicationOf([runner], {
      createMission: async (request) => {
        const look = (...args: string[]) => (request.repo?.startsWith('/') ? git(request.repo, ...args) : '')
        const ref = request.ref ?? 'HEAD'
        opened.push({ request, head: look('rev-parse', ref), files: look('ls-tree', '--name-only', ref) })
        return missionOf({ mission_name: request.mission_name })
      },
      addSeat: async () => ({ ...runner, token: 't', spawn_ms: 1 }),
      async execStream(_mission, _agent, _request, output) {
        await output('stdout', Buffer.from('out\n'))
        await output('stderr', Buffer.from('err\n'))
        return END
      },
      execWhole: async () => ({ ...END, stdout: 'out\n', stderr: 'err\n', truncated: false }),
      collect: async () => NOTHING,
      destroyMission: async () => DESTROYED,
      ...over,
    }),
  )
  return { ...recorded, opened }
}

async function run(argv: readonly string[], terminal: Terminal = {}, over: Partial<Application> = {}) {
  const { app, calls, opened } = pit(over)
  await using stage = await raise(app)
  const ran = await on(stage, ['run', ...argv], terminal)
  return { ...ran, calls, opened, names: calls.map(([name]) => name) }
}

test("mission, seat, command, collect, destroy; output and exit code are the command's own", async () => {
  await using dir = await scratch()
  const ran = await run(['--', 'make', '-j2'], { cwd: dir.path })
  expect(ran.names).toEqual(['createMission', 'addSeat', 'execStream', 'collect', 'destroyMission'])
  expect(ran.calls[1]).toEqual(['addSeat', MISSION, { agent_id: 'runner', role: 'write' }])
  expect(ran.calls[2]).toEqual(['execStream', MISSION, 'runner', { command: ['make', '-j2'], timeout: 86_400 }])
  expect(ran.calls[4]).toEqual(['destroyMission', MISSION, false])
  expect([ran.code, ran.stdout]).toEqual([7, 'out\n'])
  expect(ran.stderr).toContain('no git checkout here; the worktree starts empty')
  expect(ran.stderr).toContain('outcome: no_change')
  expect(ran.stderr).toContain('homes: unchanged')
})

test('what ends, ends: nothing is revived in a run unless it is told to', async () => {
  await using dir = await scratch()
  const policies = async (...words: string[]) =>
    (await run([...words, '--', 'true'], { cwd: dir.path })).opened[0]?.request.policies
  expect(await policies()).toEqual({ auto_revive: 'no' })
  expect(await policies('--auto-revive', 'yes')).toEqual({ auto_revive: 'yes' })
})

test('from inside a checkout: a copy of HEAD is handed over, uncommitted changes are told', async () => {
  await using dir = await scratch()
  const path = checkout(join(dir.path, 'app'))
  mkdirSync(join(path, 'deep', 'er'), { recursive: true })
  writeFileSync(join(path, 'deep', 'er', 'new'), 'x')
  writeFileSync(join(path, 'file'), 'two\n')
  const ran = await run(['--', 'true'], { cwd: join(path, 'deep', 'er') })
  const [{ request, head, files }] = ran.opened as [Opened]
  expect(request).toMatchObject({
    ref: git(path, 'rev-parse', 'HEAD'),
    repo: expect.stringMatching(/\/inbox\/app-[0-9a-f]{16}\.git$/),
    display: path,
    max_agents: 1,
  })
  expect([head, files]).toEqual([git(path, 'rev-parse', 'HEAD'), 'file'])
  expect(ran.stderr).toContain('note: 2 uncommitted changes stay behind; the mission starts from what is committed')
})

test('a linked worktree, a detached HEAD and a call from a git hook copy the right commit', async () => {
  await using dir = await scratch()
  const path = checkout(join(dir.path, 'app'))
  const first = git(path, 'rev-parse', 'HEAD')
  git(path, 'commit', '-q', '--allow-empty', '-m', 'second')
  const linked = join(dir.path, 'linked')
  git(path, 'worktree', 'add', '-q', '--detach', linked, first)
  const environment = {
    ...process.env,
    GIT_DIR: join(path, '.git'),
    GIT_WORK_TREE: path,
    GIT_INDEX_FILE: '/nonexistent',
  }
  const ran = await run(['--', 'true'], { cwd: linked, environment })
  expect(ran.opened[0]).toMatchObject({ head: first, request: { ref: first } })
})

test('--ref of another branch comes along; URLs and bare repositories go as they are', async () => {
  await using dir = await scratch()
  const path = checkout(join(dir.path, 'app'))
  git(path, 'branch', 'side')
  git(path, 'commit', '-q', '--allow-empty', '-m', 'second')
  const asked = await run(['--ref', 'side', '--', 'true'], { cwd: path })
  expect(asked.opened[0]).toMatchObject({ head: git(path, 'rev-parse', 'side'), request: { display: path } })
  const missing = await run(['--ref', 'none', '--', 'true'], { cwd: path })
  expect([missing.code, missing.names, missing.stderr]).toEqual([3, [], expect.stringContaining('ref_not_found')])
  const bare = join(dir.path, 'bare.git')
  git(dir.path, 'clone', '-q', '--bare', path, bare)
  expect((await run(['--repo', 'bare.git', '--', 'true'], { cwd: dir.path })).opened[0]?.request.repo).toBe(bare)
  const url = 'https://example.org/a.git'
  expect((await run(['--repo', url, '--', 'true'], { cwd: dir.path })).opened[0]?.request.repo).toBe(url)
})

test('a repository that is none is refused before anything is opened', async () => {
  await using dir = await scratch()
  for (const repo of ['missing', '.']) {
    const ran = await run(['--repo', repo, '--', 'true'], { cwd: dir.path })
    expect([ran.code, ran.names]).toEqual([1, []])
    expect(ran.stderr).toContain('repository_unavailable')
  }
})

test('a checkout without a commit starts empty, and says so', async () => {
  await using dir = await scratch()
  git(dir.path, 'init', '-q')
  const ran = await run(['--', 'true'], { cwd: dir.path })
  expect(ran.opened[0]?.request.repo).toBeUndefined()
  expect(ran.stderr).toContain('has no commit yet')
})

test('delivered commits outlive the cell: the printed line fetches them', async () => {
  await using dir = await scratch()
  const path = checkout(join(dir.path, 'app'))
  const base = git(path, 'rev-parse', 'HEAD')
  const trusted = join(dir.path, 'trusted.git')
  git(dir.path, 'clone', '-q', '--bare', path, trusted)
  const tree = git(trusted, 'rev-parse', 'HEAD^{tree}')
  const head = git(trusted, 'commit-tree', tree, '-p', base, '-m', 'work')
  git(trusted, 'update-ref', 'refs/heads/mission/runner', head)
  const collection: Collection = {
    ...NOTHING,
    base,
    head,
    outcome: 'delivered',
    repository: trusted,
    commits: [{ id: head, subject: 'work', author: 'runner' }],
  }
  const bundle = join(dir.path, 'repository.bundle')
  git(trusted, 'bundle', 'create', '-q', bundle, 'mission/runner', `^${base}`)
  const collected = { path: bundle, branches: ['mission/runner'], bytes: 1, sha256: '', keep_until: AT }
  const { app } = pit({ collect: async () => collection, destroyMission: async () => ({ ...DESTROYED, collected }) })
  await using stage = await raise(app)
  const ran = await on(stage, ['run', '--', 'true'], { cwd: path })
  expect(ran.stderr).toContain('outcome: delivered (1 commit')
  const line = /To bring the commits home .*:\n(.*)/.exec(ran.stderr)?.[1]?.trim() ?? ''
  expect(line).toBe(`git fetch ${bundle} mission/runner`)
  execFileSync('rm', ['-rf', trusted])
  execFileSync('sh', ['-c', line], { cwd: path, stdio: 'ignore' })
  expect(git(path, 'rev-parse', 'FETCH_HEAD')).toBe(head)

  const kept = await run(['--keep', '--', 'true'], { cwd: path }, { collect: async () => collection })
  expect(kept.stderr).toContain(`git fetch ${trusted} mission/runner`)
  expect(kept.names).not.toContain('destroyMission')
})

test('uncommitted work keeps the mission, and it is said how to go on', async () => {
  await using dir = await scratch()
  const ran = await run(
    ['--', 'true'],
    { cwd: dir.path },
    { collect: async () => ({ ...NOTHING, outcome: 'uncommitted', uncommitted: ['a', 'b'] }) },
  )
  expect(ran.names).not.toContain('destroyMission')
  expect(ran.code).toBe(7)
  expect(ran.stderr).toContain('not committed: a')
  expect(ran.stderr).toMatch(/The mission 0b9f2c52 .* is there still: work_uncollected/)
  expect(ran.stderr).toContain('lazarus destroy 0b9f2c52 --force')
})

test('a seat that cannot be spawned leaves no mission', async () => {
  await using dir = await scratch()
  const fail = async () => {
    throw new LazarusError('spawn_failed', 'no luck')
  }
  const ran = await run(['--', 'true'], { cwd: dir.path }, { addSeat: fail })
  expect([ran.code, ran.names]).toEqual([1, ['createMission', 'addSeat', 'destroyMission']])
  expect(ran.stderr).toContain('no luck')
})

test('a read seat is not collected from', async () => {
  await using dir = await scratch()
  expect((await run(['--role', 'read', '--', 'true'], { cwd: dir.path })).names).toEqual([
    'createMission',
    'addSeat',
    'execStream',
    'destroyMission',
  ])
})

test('--json is one object with the answer of each step', async () => {
  await using dir = await scratch()
  const ran = await run(['--json', '--', 'true'], { cwd: dir.path })
  expect(JSON.parse(ran.stdout)).toEqual({
    mission: missionOf({ mission_name: 'run true' }),
    exec: { ...END, stdout: 'out\n', stderr: 'err\n', truncated: false },
    collection: NOTHING,
    destroyed: DESTROYED,
    fetch: null,
  })
  expect(ran.code).toBe(7)
})

test('Ctrl-C ends the command, cleans up all the same, and is exit code 130', async () => {
  await using dir = await scratch()
  const interrupt = new AbortController()
  const killed = Promise.withResolvers<void>()
  const ran = await run(
    ['--', 'sleep', 'inf'],
    {
      cwd: dir.path,
      interrupted: interrupt.signal,
      onOutput: () => interrupt.abort(),
    },
    {
      async execStream(_mission, _agent, _request, output, abort) {
        await output('stdout', Buffer.from('started\n'))
        if (!abort.aborted) await once(abort, 'abort')
        killed.resolve()
        throw abort.reason
      },
    },
  )
  await killed.promise
  expect(ran.code).toBe(130)
  expect(ran.names).toEqual(['createMission', 'addSeat', 'execStream', 'collect', 'destroyMission'])
})

test('without a pit it starts one for itself and stops it; a running one is used', async () => {
  await using dir = await scratch()
  const { app, calls } = pit()
  const steps: string[] = []
  const start = async () => {
    const stage = await raise(app)
    steps.push('start')
    return {
      socket: stage.at.socket,
      close: async () => {
        await stage[Symbol.asyncDispose]()
        steps.push(`close after ${String(calls.at(-1)?.[0])}`)
      },
    }
  }
  const ran = await lazarus(['run', '--', 'true'], {
    cwd: dir.path,
    state_dir: join(dir.path, 'state'),
    local: { start },
  })
  expect([ran.code, steps]).toEqual([7, ['start', 'close after destroyMission']])
  expect((await run(['--', 'true'], { cwd: dir.path, local: { start } })).code).toBe(7)
  expect(steps.length).toBe(2)
  const elsewhere = await lazarus(['run', '--socket', join(dir.path, 'none.sock'), '--', 'true'], {
    cwd: dir.path,
    local: { start },
  })
  expect([elsewhere.code, steps.length]).toEqual([1, 2])
})

test('mission create hands over a copy too', async () => {
  await using dir = await scratch()
  const path = checkout(join(dir.path, 'app'))
  const { app, opened } = pit()
  await using stage = await raise(app)
  const ran = await on(stage, ['mission', 'create', 'mend', '--repo', 'app'], { cwd: dir.path })
  expect(ran.stdout).toBe(`${MISSION}\nlevel_2, from commit c0ffee. Next: lazarus seat add 0b9f2c52 <agent>\n`)
  expect(opened[0]?.head).toBe(git(path, 'rev-parse', 'HEAD'))
})
