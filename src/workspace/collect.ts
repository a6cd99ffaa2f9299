import type { BaseRef } from '../contract/mission.ts'
import type { Collection, WorkOutcome } from '../contract/seat.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { RunResult } from '../linux/run.ts'
import type { Uncollected } from '../ports/workspace.ts'
import type { Airlock } from './airlock.ts'
import { COUNT_UNKNOWN, FACTS, PACK_COMMITS } from './airlock-scripts.ts'
import { bytes, gitReason, text } from './git.ts'
import type { AirlockView } from './mounts.ts'
import { receiveFrom } from './receive.ts'
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

interface Facts {
  readonly tip: string | null
  readonly uncommitted: readonly string[]
}

const STATUS_BYTES = 8 * 1024 ** 2
export const MOST_PATHS = 1000
const NOTHING = { ahead: 0, commits: [], diffstat: { files: 0, insertions: 0, deletions: 0 } }

/** Brings the commits of a seat into the trusted repository, and says what became of its work. */
export async function collect(context: CollectContext): Promise<Collection> {
  const { trusted, agent_id, base, abort } = context
  const facts = await readFacts(context)
  if (facts.tip !== null) await bring(facts.tip, context)
  const work = facts.tip === null ? NOTHING : await workBetween(trusted, base.commit, facts.tip, abort)
  return {
    branch: `mission/${agent_id}`,
    base: base.commit,
    head: facts.tip,
    commits: work.commits,
    outcome: outcomeOf(work.ahead, facts.uncommitted),
    uncommitted: [...facts.uncommitted],
    diffstat: work.diffstat,
    repository: trusted.path,
  }
}

/** Success without a result is not success. */
function outcomeOf(ahead: number, uncommitted: readonly string[]): WorkOutcome {
  if (ahead > 0) return 'delivered'
  return uncommitted.length > 0 ? 'uncommitted' : 'no_change'
}

/** What the trusted repository lacks: commits on any ref, HEAD or stash, and paths that no commit holds. */
export async function uncollected(context: CollectContext): Promise<Uncollected> {
  const facts = await readFacts(context).catch((error: unknown) => {
    if (error instanceof LazarusError && error.code === 'bundle_refused') return null
    throw error
  })
  // A repository that git cannot read is work that nobody has: the operator decides.
  if (facts === null) return { commits: 0, paths: ['.git'] }
  return { commits: await countUnknown(context), paths: facts.uncommitted }
}

async function readFacts(context: CollectContext): Promise<Facts> {
  const passage = {
    script: FACTS,
    args: [`mission/${context.agent_id}`],
    ...context.view,
    unprivileged: true,
    abort: context.abort,
  }
  const done = await context.airlock.pass(passage, { max_stdout_bytes: STATUS_BYTES })
  requireAnswer(done)
  return parseFacts(done.stdout)
}

export function parseFacts(answer: Buffer): Facts {
  const end = answer.indexOf(10)
  const tip = answer.toString('latin1', 0, Math.max(end, 0))
  if (tip !== '' && !/^[0-9a-f]{40}$/.test(tip)) throw refused('The worktree named an odd commit', tip.slice(0, 100))
  const entries = answer
    .toString('utf8', end + 1)
    .split('\0')
    .filter(Boolean)
  const uncommitted = entries.slice(0, MOST_PATHS).map((entry) => entry.slice(3))
  return { tip: tip === '' ? null : tip, uncommitted }
}

function requireAnswer(done: RunResult): void {
  if (done.ended === 'timeout') throw refused('Reading the worktree took too long', 'time-out in the airlock')
  if (done.ended === 'overflow') throw refused('The worktree answered too much', 'output limit of the airlock')
  if (done.exit_code !== 0) throw refused('git cannot read the worktree', gitReason(done.stderr))
}

async function countUnknown(context: CollectContext): Promise<number> {
  const { airlock, trusted, view, agent_id, base, abort } = context
  const kept = [...(await keptIds(trusted, agent_id, abort)), ...(await context.origin_tips())]
  const stdin = bytes(
    [...kept, base.commit]
      .filter((id) => id !== null)
      .map((id) => `^${id}\n`)
      .join(''),
  )
  const done = await airlock.pass(
    { script: COUNT_UNKNOWN, args: [], ...view, unprivileged: true, abort },
    { stdin, max_stdout_bytes: 64 },
  )
  requireAnswer(done)
  const count = Number(text(done))
  if (!Number.isSafeInteger(count) || count < 0) throw refused('The worktree counted oddly', text(done))
  return count
}

/** Only ids cross, and a pack: no ref name, no path, no configuration of the agent. */
async function bring(tip: string, context: CollectContext): Promise<void> {
  const { trusted, agent_id, base, abort } = context
  const head = await headOf(trusted, agent_id, abort)
  if (head === null && tip === base.commit) return
  if (!(await holdsCommit(trusted, tip, abort))) {
    const known = [base.commit, head].filter((id) => id !== null)
    const passage = { script: PACK_COMMITS, args: [tip, ...known], ...context.view, unprivileged: true, abort }
    await using quarantine = await receiveFrom(
      streamOf((on_stdout) => context.airlock.pass(passage, { on_stdout, max_stdout_bytes: Number.MAX_SAFE_INTEGER })),
      { repository: trusted.path, strict: true, max_bytes: context.max_bytes, abort, refuse: refused },
    )
    await quarantine.requireConnected([tip])
    trusted.faults('collect.admit')
    await quarantine.admit()
    if (!(await holdsCommit(trusted, tip, abort))) throw refused('The tip is not a commit', tip)
  }
  await moveBranch(trusted, agent_id, tip, abort)
}

export const refused = (message: string, reason: string): LazarusError =>
  new LazarusError('bundle_refused', `${message}: ${reason}`, { details: { reason } })
