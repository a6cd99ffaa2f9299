import type { BaseRef } from '../contract/mission.ts'
import type { Collection, WorkOutcome } from '../contract/seat.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { RunResult } from '../linux/run.ts'
import type { Uncollected } from '../ports/workspace.ts'
import type { Airlock } from './airlock.ts'
import { COUNT_WORK, PACK_WORK } from './airlock-scripts.ts'
import { ByteReader } from './byte-reader.ts'
import { bytes, gitReason } from './git.ts'
import type { AirlockView } from './mounts.ts'
import { receiveFrom } from './receive.ts'
import type { Stream } from './stream.ts'
import { streamOf } from './stream.ts'
import type { TrustedRepository } from './trusted-repository.ts'
import { headOf, holdsCommit, keptIds, moveBranch, workBetween } from './trusted-repository.ts'

export interface CollectContext {
  readonly airlock: Airlock
  readonly trusted: TrustedRepository
  readonly view: AirlockView
  readonly agent_id: string
  readonly base: BaseRef
  /** Commits that the origin had when the base was made: nobody's work here. */
  readonly origin_tips: () => Promise<readonly string[]>
  readonly max_bytes: number
  readonly abort: AbortSignal
}

/** Of the entries of git status, each ended by NUL. */
const STATUS_BYTES = 8 * 1024 ** 2
const MOST_PATHS = 1000
const LONGEST_LINE = 100
const NEWLINE = 10
const NOTHING = { ahead: 0, commits: [], diffstat: { files: 0, insertions: 0, deletions: 0 } }

/** Brings the commits of a seat into the trusted repository, and says what became of its work. */
export async function collect(context: CollectContext): Promise<Collection> {
  const { trusted, agent_id, base, abort } = context
  const head = await headOf(trusted, agent_id, abort)
  const { tip, uncommitted } = await receiveWork(context, head)
  if (tip !== null && (head !== null || tip !== base.commit)) await moveBranch(trusted, agent_id, head, tip, abort)
  const work = tip === null ? NOTHING : await workBetween(trusted, base.commit, tip, abort)
  return {
    branch: `mission/${agent_id}`,
    base: base.commit,
    head: tip,
    commits: work.commits,
    outcome: outcomeOf(work.ahead, uncommitted),
    uncommitted: [...uncommitted],
    diffstat: work.diffstat,
    repository: trusted.path,
  }
}

/** Success without a result is not success. */
function outcomeOf(ahead: number, uncommitted: readonly string[]): WorkOutcome {
  if (ahead > 0) return 'delivered'
  return uncommitted.length > 0 ? 'uncommitted' : 'no_change'
}

interface Work {
  readonly tip: string | null
  readonly uncommitted: readonly string[]
}

/**
 * One passage: what git says of the worktree, then the pack of what the trusted repository lacks. Only ids and
 * paths cross, and the pack: no ref name, no configuration of the agent.
 */
async function receiveWork(context: CollectContext, head: string | null): Promise<Work> {
  const { airlock, agent_id, base, view, abort } = context
  const known = [base.commit, head].filter((id) => id !== null)
  const passage = { script: PACK_WORK, args: [`mission/${agent_id}`, ...known], ...view, unprivileged: true, abort }
  const stream = streamOf((on_stdout) =>
    airlock.pass(passage, { on_stdout, max_stdout_bytes: Number.MAX_SAFE_INTEGER }),
  )
  const reader = new ByteReader(stream.chunks)
  const work = await readWork(reader, stream)
  const { tip } = work
  if (tip === null || known.includes(tip) || (await holdsCommit(context.trusted, tip, abort))) {
    await reader.leave()
    await stream.done
  } else {
    await admitPack({ chunks: reader.rest(), done: stream.done }, tip, context)
  }
  return work
}

async function readWork(reader: ByteReader, stream: Stream): Promise<Work> {
  const answer = await readAnswer(reader)
  if (answer !== null && /^([0-9a-f]{40})?$/.test(answer.line))
    return { tip: answer.line === '' ? null : answer.line, uncommitted: answer.paths }
  await reader.leave()
  const done = await stream.done
  if (done !== null) requireAnswer(done)
  throw refused('The worktree answered oddly or too much', JSON.stringify(answer?.line ?? ''))
}

interface Answer {
  readonly line: string
  readonly paths: readonly string[]
}

/** A line, then entries of git status up to an empty one; null when they do not come. */
async function readAnswer(reader: ByteReader): Promise<Answer | null> {
  const line = await reader.until(NEWLINE, LONGEST_LINE)
  const paths: string[] = []
  for (let room = STATUS_BYTES; line !== null; ) {
    const entry = await reader.until(0, room)
    if (entry === null) return null
    if (entry.length === 0) return { line: line.toString('latin1'), paths }
    room -= entry.length
    if (paths.length < MOST_PATHS) paths.push(pathOf(entry))
  }
  return null
}

/** An entry is "XY path". */
const pathOf = (entry: Buffer): string => entry.toString('utf8', 3)

async function admitPack(stream: Stream, tip: string, context: CollectContext): Promise<void> {
  const { trusted, max_bytes, abort } = context
  await using quarantine = await receiveFrom(stream, {
    repository: trusted.path,
    strict: true,
    max_bytes,
    abort,
    refuse: refused,
  })
  await quarantine.requireConnected([`${tip}^{commit}`])
  trusted.faults('collect.admit')
  await quarantine.admit()
}

/** What the trusted repository lacks: commits on any ref, HEAD or stash, and paths that no commit holds. */
export async function uncollected(context: CollectContext): Promise<Uncollected> {
  const { airlock, trusted, view, agent_id, base, abort } = context
  const kept = [...(await keptIds(trusted, agent_id, abort)), ...(await context.origin_tips()), base.commit]
  const stdin = bytes(
    kept
      .filter((id) => id !== null)
      .map((id) => `^${id}\n`)
      .join(''),
  )
  const passage = { script: COUNT_WORK, args: [`mission/${agent_id}`], ...view, unprivileged: true, abort }
  const stream = streamOf((on_stdout) =>
    airlock.pass(passage, { stdin, on_stdout, max_stdout_bytes: Number.MAX_SAFE_INTEGER }),
  )
  const reader = new ByteReader(stream.chunks)
  const answer = await readAnswer(reader)
  await reader.leave()
  const done = await stream.done
  if (done?.exit_code === 0 && answer !== null && /^\d{1,15}$/.test(answer.line))
    return { commits: Number(answer.line), paths: answer.paths }
  // A repository that git cannot read is work that nobody has: the operator decides.
  return { commits: 0, paths: ['.git'] }
}

function requireAnswer(done: RunResult): void {
  if (done.ended === 'timeout') throw refused('Reading the worktree took too long', 'time-out in the airlock')
  if (done.exit_code !== 0) throw refused('git cannot read the worktree', gitReason(done.stderr))
}

export const refused = (message: string, reason: string): LazarusError =>
  new LazarusError('bundle_refused', `${message}: ${reason}`, { details: { reason } })
