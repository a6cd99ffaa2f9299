import { execFile } from 'node:child_process'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PitProcess } from '../support/pit-process.ts'
import { git, makeRepository, manyFiles } from '../support/repository.ts'
import { ROOT } from '../support/source-tree.ts'

/** `lazarus run` from inside a checkout, against a real pit: what a user types first. */
let pit: PitProcess
let repository: Awaited<ReturnType<typeof makeRepository>>
beforeAll(async () => {
  pit = await PitProcess.start()
  repository = await makeRepository(manyFiles(1000))
})
afterAll(async () => {
  await pit?.[Symbol.asyncDispose]()
  await repository?.[Symbol.asyncDispose]()
})

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const lazarus = (cwd: string, ...args: string[]): Promise<Ran> =>
  new Promise((resolve) => {
    const argv = [join(ROOT, 'src/main/cli.ts'), ...args]
    execFile(process.execPath, argv, { cwd, env: pit.environment }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    )
  })

const commit = (name: string) => [
  'sh',
  '-c',
  `echo ${name} > ${name} && git add ${name} && git commit -qm 'Add ${name}'`,
]
const places = async () => ({
  inbox: await readdir(join(pit.stateDir, 'inbox')),
  repos: await readdir(join(pit.stateDir, 'repos')),
  bases: (await readdir(join(pit.stateDir, 'bases'), { recursive: true, withFileTypes: true }))
    .filter(({ name }) => name === 'tree')
    .map(({ parentPath }) => parentPath),
})

test('the printed line brings the commits into the checkout; a second run finds copy, mirror and base', async () => {
  const first = await lazarus(repository.path, 'run', '--', ...commit('one'))
  expect([first.code, first.stdout]).toEqual([0, ''])
  const made = await places()
  expect([made.inbox.length, made.repos.length, made.bases.length]).toEqual([1, 1, 1])
  const second = await lazarus(repository.path, 'run', '--', ...commit('two'))
  expect(second.code).toBe(0)
  expect(await places()).toEqual(made)
  for (const [{ stderr }, subject] of [
    [first, 'Add one'],
    [second, 'Add two'],
  ] as const) {
    const line = /To bring the commits home .*:\n {2}(git fetch .*)/.exec(stderr)?.[1] ?? ''
    expect(line).toMatch(/\/trash\/.*\/repository\.bundle mission\/runner$/)
    await git(repository.path, ...line.split(' ').slice(1))
    expect(await git(repository.path, 'log', '--format=%s', `${repository.head}..FETCH_HEAD`)).toBe(subject)
  }
})

test('a mission shows the path of the checkout, not that of the copy', async () => {
  const created = await lazarus(repository.path, 'mission', 'create', 'shown', '--repo', '.', '--json')
  const mission = JSON.parse(created.stdout)
  expect(mission.base).toMatchObject({ repo: repository.path, commit: repository.head })
  await lazarus(repository.path, 'seat', 'add', 'shown', 'ada')
  const inside = await lazarus(
    repository.path,
    'exec',
    'shown',
    'ada',
    '--',
    'sh',
    '-c',
    'git remote get-url origin; git branch -r; git log --oneline | wc -l',
  )
  expect(inside.stdout).toBe(`${repository.path}\n  origin/main\n1\n`)
  expect((await lazarus(repository.path, 'destroy', 'shown')).code).toBe(0)
})

test('a detached HEAD and a shallow clone run as any other checkout', async () => {
  const clone = join(pit.homesDir, 'shallow')
  await mkdir(pit.homesDir, { recursive: true })
  await git(repository.path, 'commit', '-q', '--allow-empty', '-m', 'Second')
  await git(pit.homesDir, 'clone', '-q', '--depth', '1', `file://${repository.path}`, clone)
  await git(clone, 'checkout', '-q', '--detach')
  try {
    const ran = await lazarus(clone, 'run', '--', 'sh', '-c', `git log --format=%s && ${commit('x')[2]}`)
    expect([ran.code, ran.stdout]).toEqual([0, 'Second\n'])
    const line = /(git fetch .*)/.exec(ran.stderr)?.[1] ?? ''
    await git(clone, ...line.split(' ').slice(1))
    expect(await git(clone, 'log', '--format=%s', '-1', 'FETCH_HEAD')).toBe('Add x')
  } finally {
    await rm(clone, { recursive: true })
  }
})
