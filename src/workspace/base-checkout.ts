import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { BaseRef } from '../contract/mission.ts'
import { LazarusError } from '../kernel/errors.ts'
import { run } from '../linux/run.ts'
import { shallowOf } from './bare-repository.ts'
import { createFile } from './durable.ts'
import type { GitOptions } from './git.ts'
import { git, gitEnvironment, gitReason, isDiskFull, text } from './git.ts'

/** Where every cell sees the origin's objects, read-only: a mount target of its own, below nothing a seat can write. */
export const OBJECTS_IN_CELL = '/run/lazarus-git/objects'

/**
 * The checkout with its own `.git` directory. Filters have no configuration, so LFS pointers stay pointers;
 * submodules become empty directories. Durable when it resolves.
 */
export async function layBase(
  tree: string,
  base: BaseRef,
  mirror: string | null,
  now_ms: number,
  abort: AbortSignal,
): Promise<void> {
  await layGitDirectory(join(tree, '.git'), base, mirror)
  if (mirror !== null && base.commit !== null) await checkOut(tree, base.commit, mirror, now_ms, abort)
  await must('sync', ['-f', tree], abort)
}

async function layGitDirectory(dotGit: string, base: BaseRef, mirror: string | null): Promise<void> {
  for (const name of ['info', 'objects/info', 'objects/pack', 'refs/heads', 'refs/tags']) {
    await mkdir(join(dotGit, name), { recursive: true })
  }
  await createFile(join(dotGit, 'HEAD'), base.commit === null ? 'ref: refs/heads/main\n' : `${base.commit}\n`)
  await createFile(join(dotGit, 'config'), baseConfig(base))
  if (mirror === null) return
  await createFile(join(dotGit, 'objects/info/alternates'), `${OBJECTS_IN_CELL}\n`)
  await createFile(join(dotGit, 'packed-refs'), await originRefs(mirror))
  const shallow = await shallowOf(mirror)
  if (shallow !== '') await createFile(join(dotGit, 'shallow'), shallow)
}

/** Size and whole seconds alone tell a change: device, inode, owner and ctime differ between the host and a cell. */
export function baseConfig(base: BaseRef): string {
  const core = {
    repositoryformatversion: '0',
    filemode: 'true',
    bare: 'false',
    logallrefupdates: 'true',
    checkStat: 'minimal',
    trustctime: 'false',
    fsmonitor: 'false',
  }
  const section = (name: string, values: Readonly<Record<string, string>>) =>
    `[${name}]\n${Object.entries(values)
      .map(([key, value]) => `\t${key} = ${quoted(value)}\n`)
      .join('')}`
  const origin =
    base.repo === null
      ? ''
      : section('remote "origin"', { url: base.repo, fetch: '+refs/heads/*:refs/remotes/origin/*' })
  return section('core', core) + section('gc', { auto: '0' }) + section('maintenance', { auto: 'false' }) + origin
}

export const quoted = (value: string): string => `"${value.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n')}"`

async function originRefs(mirror: string): Promise<string> {
  const args = ['for-each-ref', '--format=%(objectname) %(refname)', 'refs/heads', 'refs/tags']
  const done = await git(args, { repository: mirror })
  const lines = text(done).split('\n').filter(Boolean)
  const renamed = lines.map((line) => line.replace(' refs/heads/', ' refs/remotes/origin/'))
  const bytewise = (a: string, b: string) => Buffer.compare(Buffer.from(a.slice(41)), Buffer.from(b.slice(41)))
  return `# pack-refs with: sorted \n${renamed
    .toSorted(bytewise)
    .map((line) => `${line}\n`)
    .join('')}`
}

async function checkOut(
  tree: string,
  commit: string,
  mirror: string,
  now_ms: number,
  abort: AbortSignal,
): Promise<void> {
  const options: GitOptions = {
    repository: join(tree, '.git'),
    environment: { GIT_WORK_TREE: tree, GIT_OBJECT_DIRECTORY: join(mirror, 'objects') },
    config: { 'checkout.workers': '2', 'core.fsync': 'none' },
    abort,
    timeout_ms: 3_600_000,
  }
  await mustGit(['read-tree', commit], options)
  await must(
    'sh',
    ['-c', 'umask 022; exec git -C "$1" checkout-index --all --quiet', 'checkout', tree],
    abort,
    gitEnvironment(options),
  )
  const time = await committedAt(commit, now_ms, options)
  await must(
    'find',
    [
      tree,
      '-mindepth',
      '1',
      '-path',
      join(tree, '.git'),
      '-prune',
      '-o',
      '-exec',
      'touch',
      '-h',
      '-d',
      `@${time}`,
      '{}',
      '+',
    ],
    abort,
  )
  // Exit code 1: a path differs from its own blob (line endings), as in any clone of that repository.
  const refreshed = await git(['-C', tree, 'update-index', '-q', '--refresh'], options)
  if (refreshed.exit_code !== 0 && refreshed.exit_code !== 1) throw checkoutFailed(gitReason(refreshed.stderr))
}

/**
 * Every file is as old as its commit. With files that are visibly older than the index, git trusts size and time
 * at once, and no edit in the second of the checkout can hide.
 */
async function committedAt(commit: string, now_ms: number, options: GitOptions): Promise<number> {
  const done = await mustGit(['show', '-s', '--format=%ct', commit], options)
  const earliest = 315_532_800 // 1980: what zip can store
  const latest = Math.floor(now_ms / 1000) - 60
  return Math.min(Math.max(Number(text(done)) || earliest, earliest), latest)
}

async function mustGit(args: readonly string[], options: GitOptions) {
  const done = await git(args, options)
  if (done.exit_code !== 0) throw checkoutFailed(gitReason(done.stderr))
  return done
}

async function must(
  file: string,
  args: readonly string[],
  abort: AbortSignal,
  environment = gitEnvironment({}),
): Promise<void> {
  const done = await run(file, args, { environment, cwd: '/', abort, timeout_ms: 3_600_000 })
  abort.throwIfAborted()
  if (done.exit_code !== 0) throw checkoutFailed(gitReason(done.stderr))
}

function checkoutFailed(reason: string): LazarusError {
  if (isDiskFull(reason)) return new LazarusError('storage_full', `The base cannot be checked out: ${reason}`)
  return new LazarusError('repository_unavailable', `The commit cannot be checked out: ${reason}`, {
    details: { reason },
  })
}
