import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { KeptCommits } from '../contract/mission.ts'
import { LazarusError } from '../kernel/errors.ts'
import { exists } from './durable.ts'
import { bytes, git, gitReason, text } from './git.ts'
import { streamOf } from './stream.ts'
import type { TrashPlace } from './trash-entry.ts'
import { readNote, reported, writeToTrash } from './trash-entry.ts'
import { BASE_REF, type TrustedRepository } from './trusted-repository.ts'

interface Branches {
  readonly branches: string[]
}

const never = new AbortController().signal

/**
 * What was collected, as `<mission>/repository.bundle`: every branch and every former head, without what the base
 * has, so that `git fetch` takes it in any checkout that has the base. An earlier bundle is found: a mission that
 * began to close collects nothing more. null when nothing was collected.
 */
export async function keepCommits(
  place: TrashPlace,
  mission_id: string,
  { path: repository }: TrustedRepository,
): Promise<KeptCommits | null> {
  const path = join(place.directory, mission_id, 'repository.bundle')
  const found = await readNote<Branches>(path)
  if (found !== null) return reported(found)
  if (!(await exists(repository))) return null
  const based = (await refs(repository, [BASE_REF])).length > 0
  const kept = await refs(repository, [...(based ? [`--no-merged=${BASE_REF}`] : []), ...COLLECTED])
  if (kept.length === 0) return null
  const wanted = [...kept, ...(based ? [`^${BASE_REF}`] : [])]
  const note = await writeToTrash<Branches>(place, {
    path,
    facts: { branches: kept.filter((ref) => ref.startsWith(HEADS)).map((ref) => ref.slice(HEADS.length)) },
    step: 'bundle',
    fill: (sink) => fillBundle(repository, wanted, sink),
  })
  return note && reported(note)
}

const HEADS = 'refs/heads/'
const COLLECTED = ['refs/heads/mission', 'refs/lazarus/former']

async function refs(repository: string, args: readonly string[]): Promise<readonly string[]> {
  const done = await git(['for-each-ref', '--format=%(refname)', ...args], { repository })
  if (done.exit_code !== 0) throw unreadable(done.stderr)
  return text(done).split('\n').filter(Boolean)
}

async function fillBundle(
  repository: string,
  wanted: readonly string[],
  sink: NodeJS.WritableStream,
): Promise<boolean> {
  const stream = streamOf((on_stdout) =>
    git(['bundle', 'create', '--quiet', '-', '--stdin'], {
      repository,
      stdin: bytes(`${wanted.join('\n')}\n`),
      on_stdout,
      max_stdout_bytes: Number.MAX_SAFE_INTEGER,
      timeout_ms: 3_600_000,
      abort: never,
    }),
  )
  await pipeline(stream.chunks, sink)
  const done = await stream.done
  if (done?.exit_code !== 0) throw unreadable(done?.stderr ?? '')
  return true
}

const unreadable = (stderr: string) =>
  new LazarusError('runtime_failed', `The collected commits could not be saved: ${gitReason(stderr)}`)
