import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BaseRef } from '../contract/mission.ts'
import type { Collection } from '../contract/seat.ts'
import { LazarusError } from '../kernel/errors.ts'
import { layBareRepository, shallowOf } from './bare-repository.ts'
import type { Faults } from './durable.ts'
import { buildingName, createFile, exists, makePrivateDirectory, removeOwnTree, syncDirectory } from './durable.ts'
import { bytes, git, gitReason, text } from './git.ts'
import { sweepQuarantines } from './receive.ts'

const NULL_ID = '0'.repeat(40)
const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'
const MOST_COMMITS = 1000

/** The commit that every seat started from; missing where the worktree started empty. */
export const BASE_REF = 'refs/lazarus/base'

/** The mission's own repository on the host: what was collected, checked, and nothing else. */
export interface TrustedRepository {
  readonly path: string
  readonly faults: Faults
}

export async function ensureTrusted(
  { path, faults }: TrustedRepository,
  base: BaseRef,
  mirror: string | null,
): Promise<void> {
  if (await exists(path)) return
  const building = buildingName(path)
  await makePrivateDirectory(join(path, '..'))
  try {
    faults('trusted.lay')
    await layBareRepository(
      building,
      base.commit ?? 'ref: refs/heads/main',
      mirror === null ? [] : [join(mirror, 'objects')],
    )
    if (mirror !== null && base.commit !== null) {
      await createFile(join(building, 'packed-refs'), `# pack-refs with: sorted \n${base.commit} ${BASE_REF}\n`)
      const shallow = await shallowOf(mirror)
      if (shallow !== '') await createFile(join(building, 'shallow'), shallow)
    }
    faults('trusted.appear')
    await rename(building, path)
    await syncDirectory(join(path, '..'))
  } catch (error) {
    await removeOwnTree(building)
    throw error
  }
}

const branchRef = (agent_id: string) => `refs/heads/mission/${agent_id}`
const formerRefs = (agent_id: string) => `refs/lazarus/former/${agent_id}/`

export async function headOf(
  { path }: TrustedRepository,
  agent_id: string,
  abort: AbortSignal,
): Promise<string | null> {
  const done = await git(['rev-parse', '-q', '--verify', branchRef(agent_id)], {
    repository: path,
    abort,
    max_stdout_bytes: 4096,
  })
  return done.exit_code === 0 ? text(done) : null
}

/** What is kept of one agent: the base, its branch and its former heads. */
export async function keptIds(
  { path }: TrustedRepository,
  agent_id: string,
  abort: AbortSignal,
): Promise<readonly string[]> {
  const refs = [BASE_REF, branchRef(agent_id), formerRefs(agent_id)]
  const done = await git(['for-each-ref', '--format=%(objectname)', ...refs], { repository: path, abort })
  return text(done).split('\n').filter(Boolean)
}

export async function holdsCommit({ path }: TrustedRepository, id: string, abort: AbortSignal): Promise<boolean> {
  return (await git(['cat-file', '-e', `${id}^{commit}`], { repository: path, abort })).exit_code === 0
}

/**
 * Points the agent's branch from `old`, where it is now, at a commit that is there. Where history was rewritten, the
 * former head keeps a ref of its own, so that nothing once collected can be lost by an agent.
 */
export async function moveBranch(
  { path: repository, faults }: TrustedRepository,
  agent_id: string,
  old: string | null,
  head: string,
  abort: AbortSignal,
): Promise<void> {
  if (old === head) return
  const lines = [`update ${branchRef(agent_id)} ${head} ${old ?? NULL_ID}`]
  if (old !== null && !(await isAncestor(repository, old, head, abort))) {
    const former = await git(['for-each-ref', '--format=%(objectname)', formerRefs(agent_id)], { repository, abort })
    const ids = text(former).split('\n').filter(Boolean)
    if (!ids.includes(old)) lines.unshift(`create ${formerRefs(agent_id)}${ids.length + 1} ${old}`)
  }
  faults('trusted.branch')
  const stdin = bytes(`start\n${lines.join('\n')}\nprepare\ncommit\n`)
  const done = await git(['update-ref', '--stdin'], { repository, abort, stdin })
  if (done.exit_code !== 0)
    throw new LazarusError('conflict', `The branch mission/${agent_id} could not be moved: ${gitReason(done.stderr)}`)
}

async function isAncestor(repository: string, old: string, head: string, abort: AbortSignal): Promise<boolean> {
  return (await git(['merge-base', '--is-ancestor', old, head], { repository, abort })).exit_code === 0
}

type Work = Pick<Collection, 'commits' | 'diffstat'> & { readonly ahead: number }

/** What head has and base has not. At most 1,000 commits are listed; all are counted. */
export async function workBetween(
  { path: repository }: TrustedRepository,
  base: string | null,
  head: string,
  abort: AbortSignal,
): Promise<Work> {
  const range = base === null ? [head] : [head, `^${base}`]
  const [log, stat] = await Promise.all([
    must(['log', '-z', `--max-count=${MOST_COMMITS}`, LOG_FORMAT, ...range, '--'], repository, abort),
    must(['diff', '--shortstat', '--no-ext-diff', '--no-textconv', base ?? EMPTY_TREE, head, '--'], repository, abort),
  ])
  const commits = parseLog(log)
  const isWhole = commits.length < MOST_COMMITS
  const ahead = isWhole
    ? commits.length
    : Number(await must(['rev-list', '--count', ...range, '--'], repository, abort))
  return { ahead, commits, diffstat: parseShortstat(stat) }
}

const LOG_FORMAT = '--format=%H%x1f%<(500,trunc)%s%x1f%<(200,trunc)%an'

const parseLog = (log: string): Collection['commits'] =>
  log
    .split('\0')
    .filter(Boolean)
    .map((entry) => {
      const [id = '', subject = '', author = ''] = entry.split('\x1f')
      return { id, subject: subject.trim(), author: author.trim() }
    })

export function parseShortstat(line: string): Collection['diffstat'] {
  const number = (pattern: RegExp) => Number(pattern.exec(line)?.[1] ?? 0)
  return {
    files: number(/(\d+) files? changed/),
    insertions: number(/(\d+) insertion/),
    deletions: number(/(\d+) deletion/),
  }
}

async function must(args: readonly string[], repository: string, abort: AbortSignal): Promise<string> {
  const done = await git(args, { repository, abort, timeout_ms: 120_000 })
  if (done.ended === 'timeout')
    throw new LazarusError('limit_exceeded', `git ${args[0]} over the collected commits took more than two minutes`)
  if (done.exit_code !== 0)
    throw new LazarusError('bundle_refused', `The commits cannot be read: ${gitReason(done.stderr)}`)
  return text(done)
}

/** Copies what is borrowed from the mirror, so that the repository can be carried away on its own. */
export async function makeSelfContained(
  { path: repository, faults }: TrustedRepository,
  abort: AbortSignal,
): Promise<void> {
  await sweepQuarantines(repository, Number.POSITIVE_INFINITY) // no seat is left that could be collected from
  const alternates = join(repository, 'objects/info/alternates')
  if (!(await exists(alternates))) return
  faults('trusted.detach')
  const done = await git(['repack', '-a', '-d', '-q'], { repository, abort, timeout_ms: 3_600_000 })
  if (done.exit_code !== 0)
    throw new LazarusError('runtime_failed', `The mission's repository could not be packed: ${gitReason(done.stderr)}`)
  await rm(alternates)
  await syncDirectory(join(repository, 'objects/info'))
}
