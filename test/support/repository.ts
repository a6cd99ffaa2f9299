import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

const AUTHOR = {
  GIT_AUTHOR_NAME: 'Ada',
  GIT_AUTHOR_EMAIL: 'ada@example.org',
  GIT_COMMITTER_NAME: 'Ada',
  GIT_COMMITTER_EMAIL: 'ada@example.org',
}
const CLEAN = {
  PATH: process.env.PATH,
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  ...AUTHOR,
}

export async function git(cwd: string, ...args: string[]): Promise<string> {
  const { stdout } = await run('git', args, { cwd, env: CLEAN, maxBuffer: 64 * 1024 * 1024 })
  return stdout.trim()
}

/** A real repository with one commit of the given files, outside every home. */
export async function makeRepository(
  files: Readonly<Record<string, string>> = { 'README.md': '# A project\n' },
): Promise<{ path: string; head: string } & AsyncDisposable> {
  const path = await mkdtemp('/var/tmp/repo-')
  await git(path, 'init', '-q', '-b', 'main')
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(path, name)), { recursive: true })
    await writeFile(join(path, name), text)
  }
  await git(path, 'add', '-A')
  await git(path, 'commit', '-q', '-m', 'First commit')
  return {
    path,
    head: await git(path, 'rev-parse', 'HEAD'),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}

/** `count` small files in directories of a hundred. */
export const manyFiles = (count: number): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`src/${Math.floor(i / 100)}/file-${i}.txt`, `file ${i}\n`]),
  )
