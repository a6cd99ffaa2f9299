import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { type Source, sourceAround, sourceOf } from '../../src/cli/hand-over.ts'
import { Session } from '../../src/cli/session.ts'
import type { CliSettings } from '../../src/cli/settings.ts'
import { NO_LOCAL_PIT } from './no-local-pit.ts'
import { scratch } from './terminal.ts'

const IDENTITY = ['-c', 'user.name=Ana', '-c', 'user.email=ana@example.org', '-c', 'protocol.file.allow=always']
const git = (cwd: string, ...args: string[]): string =>
  execFileSync('git', ['-C', cwd, ...IDENTITY, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    .toString()
    .trim()

function commit(path: string, subject: string): string {
  git(path, 'commit', '-q', '--allow-empty', '-m', subject)
  return git(path, 'rev-parse', 'HEAD')
}

function checkout(path: string): string {
  mkdirSync(path, { recursive: true })
  git(path, 'init', '-q', '-b', 'main')
  writeFileSync(join(path, 'file'), 'one\n')
  git(path, 'add', '.')
  commit(path, 'first')
  return path
}

interface Bench {
  readonly state: string
  readonly notes: () => string
  readonly session: Session
}

function bench(dir: string, cwd: string, over: Partial<CliSettings> = {}): Bench {
  const stderr = new PassThrough()
  let told = ''
  stderr.on('data', (chunk) => {
    told += chunk
  })
  const settings: CliSettings = {
    version: '0',
    state_dir: join(dir, 'state'),
    socket: null,
    token: null,
    colour: false,
    environment: process.env,
    uid: process.getuid!(),
    random: () => randomUUID(),
    local: NO_LOCAL_PIT,
    interrupted: new AbortController().signal,
    ...over,
  }
  const io = { stdin: new PassThrough(), stdout: new PassThrough(), stderr, cwd, now: () => Date.now() }
  return { state: settings.state_dir, notes: () => told, session: new Session(io, settings, {}) }
}

const refs = (repo: string) => git(repo, 'for-each-ref', '--format=%(refname)').split('\n')

test('a second hand-over of the same HEAD finds the same copy, and pushes nothing', async () => {
  await using dir = await scratch()
  const path = checkout(join(dir.path, 'my app'))
  const { session, state } = bench(dir.path, path)
  const first = (await sourceAround(session, undefined)) as Source
  expect(first).toMatchObject({ ref: git(path, 'rev-parse', 'HEAD'), display: path })
  expect(readdirSync(join(state, 'inbox'))).toEqual([expect.stringMatching(/^my-app-[0-9a-f]{16}\.git$/)])
  expect(statSync(join(state, 'inbox')).mode & 0o777).toBe(0o700)
  const files = () =>
    execFileSync('find', [first.repo as string, '-type', 'f', '-printf', '%p %T@ %i\n'])
      .toString()
      .split('\n')
      .toSorted()
  const before = files()
  expect(await sourceAround(bench(dir.path, path).session, undefined)).toEqual(first)
  expect(files()).toEqual(before)
  const next = commit(path, 'second')
  expect(await sourceAround(session, undefined)).toEqual({ ...first, ref: next })
  expect(git(first.repo as string, 'rev-list', '--count', next)).toBe('2')
})

test('agents see the branch and the tags behind it; what the checkout no longer has is dropped', async () => {
  await using dir = await scratch()
  const path = checkout(join(dir.path, 'app'))
  git(path, 'tag', 'v1')
  git(path, 'tag', '-a', '-m', 'two', 'v2')
  const { session } = bench(dir.path, path)
  const repo = (await sourceOf(session, path, undefined)).repo as string
  expect(refs(repo)).toEqual(['refs/heads/main', 'refs/tags/v1', 'refs/tags/v2'])
  git(path, 'checkout', '-q', '-b', 'main2/deeper')
  git(path, 'tag', '-d', 'v1')
  commit(path, 'second')
  git(path, 'tag', '-f', 'v2')
  git(path, 'tag', 'v3')
  await sourceOf(session, path, undefined)
  expect(refs(repo)).toEqual(['refs/heads/main2/deeper', 'refs/tags/v2', 'refs/tags/v3'])
  expect(git(repo, 'rev-parse', 'v2')).toBe(git(path, 'rev-parse', 'v2'))
  const old = await sourceOf(session, path, 'main')
  expect([old.repo, refs(repo)]).toEqual([repo, ['refs/heads/main', 'refs/tags/v2', 'refs/tags/v3']])
  // What an earlier run asks for is a commit, and that is there still.
  expect(git(repo, 'cat-file', '-t', git(path, 'rev-parse', 'main2/deeper'))).toBe('commit')
})

test('runs side by side on one checkout, each with a commit of its own, do not disturb each other', async () => {
  await using dir = await scratch()
  const path = checkout(join(dir.path, 'app'))
  const commits = Array.from({ length: 6 }, (_, i) => {
    git(path, 'checkout', '-q', '-b', `b${i}`)
    return commit(path, `commit ${i}`)
  })
  const sources = await Promise.all(commits.map((_, i) => sourceOf(bench(dir.path, path).session, path, `b${i}`)))
  expect(sources.map(({ ref }) => ref)).toEqual(commits)
  expect(new Set(sources.map(({ repo }) => repo)).size).toBe(1)
  for (const id of commits) expect(git(sources[0]!.repo as string, 'cat-file', '-t', id)).toBe('commit')
  expect(readdirSync(join(dir.path, 'state', 'inbox'))).toHaveLength(1)
})

test('a detached HEAD, a linked worktree, a submodule, a symlinked path', async () => {
  await using dir = await scratch()
  const path = checkout(join(dir.path, 'app'))
  const first = git(path, 'rev-parse', 'HEAD')
  const second = commit(path, 'second')
  git(path, 'worktree', 'add', '-q', '--detach', join(dir.path, 'linked'), first)
  const inLinked = (await sourceAround(bench(dir.path, join(dir.path, 'linked')).session, undefined)) as Source
  expect([inLinked.ref, refs(inLinked.repo as string)]).toEqual([first, ['refs/lazarus/detached']])

  const outer = checkout(join(dir.path, 'outer'))
  git(outer, 'submodule', '--quiet', 'add', path, 'inner')
  const withSubmodule = commit(outer, 'submodule')
  writeFileSync(join(outer, 'inner', 'file'), 'changed in there\n')
  const around = bench(dir.path, outer)
  expect(await sourceAround(around.session, undefined)).toMatchObject({ ref: withSubmodule, display: outer })
  expect(around.notes()).toBe('')
  const inside = bench(dir.path, join(outer, 'inner'))
  expect(await sourceAround(inside.session, undefined)).toMatchObject({ ref: second, display: join(outer, 'inner') })
  expect(inside.notes()).toContain('1 uncommitted change stays behind')

  symlinkSync(path, join(dir.path, 'link'))
  const one = await sourceOf(bench(dir.path, dir.path).session, 'link', undefined)
  expect(one).toEqual(await sourceOf(bench(dir.path, dir.path).session, 'app', undefined))
})

test('a shallow clone is handed over as it is, and as a whole once it is one', async () => {
  await using dir = await scratch()
  const path = checkout(join(dir.path, 'app'))
  commit(path, 'second')
  commit(path, 'third')
  const shallow = join(dir.path, 'shallow')
  git(dir.path, 'clone', '-q', '--depth', '2', `file://${path}`, shallow)
  const cut = await sourceOf(bench(dir.path, shallow).session, shallow, undefined)
  expect(git(cut.repo as string, 'log', '--format=%s', cut.ref as string)).toBe('third\nsecond')
  expect(readFileSync(join(cut.repo as string, 'shallow'), 'utf8').trim()).toBe(git(path, 'rev-parse', 'HEAD~1'))
  git(shallow, 'fetch', '-q', '--unshallow')
  const whole = await sourceOf(bench(dir.path, shallow).session, shallow, undefined)
  expect(whole.repo).not.toBe(cut.repo)
  expect(git(whole.repo as string, 'log', '--format=%s', whole.ref as string)).toBe('third\nsecond\nfirst')
})

test('no commit, no repository, no directory, an odd .git', async () => {
  await using dir = await scratch()
  const young = join(dir.path, 'young')
  git(dir.path, 'init', '-q', young)
  const { session, notes } = bench(dir.path, young)
  expect(await sourceAround(session, undefined)).toEqual({ repo: undefined, ref: undefined, display: undefined })
  expect(notes()).toContain('has no commit yet')
  const outside = bench(dir.path, dir.path).session
  expect(await sourceAround(outside, undefined)).toBeNull()
  await expect(sourceOf(outside, '.', undefined)).rejects.toMatchObject({ code: 'repository_unavailable' })
  await expect(sourceOf(outside, 'missing', undefined)).rejects.toMatchObject({
    message: expect.stringMatching(/^There is no directory .*\/missing$/),
  })
  mkdirSync(join(dir.path, 'plain', '.git'), { recursive: true })
  expect(await sourceAround(bench(dir.path, join(dir.path, 'plain')).session, undefined)).toBeNull()
  writeFileSync(join(young, '.git', 'HEAD'), 'nonsense\n')
  await expect(sourceAround(session, undefined)).rejects.toMatchObject({ code: 'repository_unavailable' })
})

test("the user's own settings for pushes do not reach the copy, and no hook runs", async () => {
  await using dir = await scratch()
  const path = checkout(join(dir.path, 'app'))
  const marker = join(dir.path, 'hook-ran')
  const hooks = join(dir.path, 'hooks')
  mkdirSync(hooks)
  for (const name of ['pre-push', 'post-receive', 'update', 'pre-receive', 'reference-transaction'])
    writeFileSync(join(hooks, name), `#!/bin/sh\necho ${name} >> '${marker}'\n`, { mode: 0o755 })
  const config = join(dir.path, 'gitconfig')
  writeFileSync(
    config,
    `[core]\nhooksPath = ${hooks}\n[push]\ngpgSign = true\nfollowTags = true\npushOption = x\nrecurseSubmodules = on-demand\n[receive]\ndenyDeletes = true\nfsckObjects = true\n[protocol "file"]\nallow = never\n`,
  )
  const environment = { ...process.env, GIT_CONFIG_GLOBAL: config }
  const { session } = bench(dir.path, path, { environment })
  const { repo } = await sourceOf(session, path, undefined)
  git(path, 'checkout', '-q', '-b', 'other')
  await sourceOf(session, path, undefined)
  expect(refs(repo as string)).toEqual(['refs/heads/other'])
  expect(readdirSync(dir.path)).not.toContain('hook-ran')
  // Control: the same hooks do run for a push of the user.
  execFileSync(
    'git',
    [
      '-C',
      path,
      '-c',
      'push.gpgSign=false',
      '-c',
      'protocol.file.allow=always',
      '-c',
      'push.pushOption=',
      'push',
      '-q',
      repo as string,
      'HEAD:x',
    ],
    { env: environment },
  )
  expect(readFileSync(marker, 'utf8')).toContain('pre-push')
})

test('a use is noted in the time of the copy', async () => {
  await using dir = await scratch()
  const path = checkout(join(dir.path, 'app'))
  const { session } = bench(dir.path, path)
  const { repo } = await sourceOf(session, path, undefined)
  utimesSync(repo as string, 1, 1)
  await sourceOf(session, path, undefined)
  expect(Date.now() - statSync(repo as string).mtimeMs).toBeLessThan(60_000)
})

/**
 * Other users, for real: a user namespace with our subordinate ids, where we are root (uid 0), and uid 1 and 2 are
 * others. Git sees owners there as it does on the host.
 */
function asUser(uid: number, script: string, ...args: string[]): string {
  const enter = [
    '--user',
    '--map-root-user',
    '--map-auto',
    '--setuid',
    '0',
    '--',
    'sh',
    '-ec',
    script,
    'sh',
    String(uid),
  ]
  return execFileSync('unshare', [...enter, ...args], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', GIT_CONFIG_GLOBAL: '/dev/null' },
    stdio: ['ignore', 'pipe', 'pipe'],
  }).toString()
}

const ONCE = join(import.meta.dirname, 'hand-over-once.ts')
const HAND_OVER = `
chown -R "$2" "$3"
mkdir "$4" && chown "$1" "$4"
status=0
setpriv --reuid "$1" --regid "$1" --clear-groups -- node "$5" "$4" "$3" || status=$?
chown -R 0 "$3" "$4"
exit $status
`

const GIT_ALONE = `
chown -R "$2" "$3"
status=0
setpriv --reuid "$1" --regid "$1" --clear-groups -- git -C "$3" rev-parse --git-dir || status=$?
chown -R 0 "$3"
exit $status
`

interface Outcome {
  readonly repo?: string
  readonly ref?: string
  readonly code?: string
  readonly message?: string
  readonly remedy?: string
}

/** The checkout belongs to `owner`; `uid` hands it over. */
function handedOver(dir: string, path: string, owner: number, uid: number): Outcome {
  execFileSync('chmod', ['-R', 'a+rX', dir])
  const state = join(dir, `state-${readdirSync(dir).length}`)
  return JSON.parse(asUser(uid, HAND_OVER, String(owner), path, state, ONCE)) as Outcome
}

test('a checkout of root is read, one of anybody else is refused with the name of its owner', async () => {
  await using dir = await scratch()
  const path = checkout(join(dir.path, 'app'))
  git(path, 'worktree', 'add', '-q', '-b', 'side', join(dir.path, 'app', 'linked'))
  const head = git(path, 'rev-parse', 'HEAD')
  const roots = handedOver(dir.path, path, 0, 1)
  expect(roots).toMatchObject({ ref: head, display: path })
  expect(git(roots.repo as string, 'cat-file', '-t', head)).toBe('commit')
  expect(handedOver(dir.path, join(path, 'linked'), 0, 1)).toMatchObject({ ref: head })
  const other = handedOver(dir.path, path, 2, 1)
  expect(other).toMatchObject({
    code: 'forbidden',
    message: expect.stringMatching(/^The checkout .*\/app belongs to (bin|uid 2); /),
    remedy: expect.stringContaining(`git clone --bare '${path}'`),
  })
  // Control: git itself refuses both.
  for (const owner of [0, 2])
    expect(() => asUser(1, GIT_ALONE, String(owner), path)).toThrow(/detected dubious ownership/)
})

test('a directory that may not be entered is told as such, never as "no checkout"', async () => {
  await using dir = await scratch()
  const path = checkout(join(dir.path, 'closed', 'app'))
  execFileSync('chmod', ['000', join(dir.path, 'closed')])
  try {
    const { session } = bench(dir.path, path)
    await expect(sourceAround(session, undefined)).rejects.toMatchObject({
      code: 'repository_unavailable',
      message: expect.stringMatching(/closed\/app is closed to the user that runs this command$/),
    })
  } finally {
    execFileSync('chmod', ['700', join(dir.path, 'closed')])
  }
})
