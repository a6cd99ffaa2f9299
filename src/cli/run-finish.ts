import type { DestroyReport, Mission } from '../contract/mission.ts'
import type { Collection } from '../contract/seat.ts'
import { isLazarusError } from '../kernel/errors.ts'
import { ApiError } from './client.ts'
import { describeCollection, fetchLine } from './render/collection.ts'
import { plain } from './render/colour.ts'
import { describeDestroy } from './render/destroy.ts'
import type { Session } from './session.ts'

export interface Finish {
  readonly mission: Mission
  /** Path of the seat whose work is collected; null when it can have none. */
  readonly seat: string | null
  readonly keep: boolean
  /** The pit was started for this run and stops after it. */
  readonly ownPit: boolean
}

/** The answers of the REST API, by step; null for a step that was not reached. */
export interface RunEnd {
  readonly collection: Collection | null
  readonly destroyed: DestroyReport | null
  /** The line that brings the commits home. */
  readonly fetch: string | null
}

/** Cleaning up goes on after Ctrl-C. */
const goesOn = new AbortController().signal

/** Collects, says how the commits come home, and destroys what holds nothing any more. Words go to stderr. */
export async function finishRun(session: Session, finish: Finish): Promise<RunEnd> {
  let end: RunEnd = { collection: null, destroyed: null, fetch: null }
  let kept: string | null
  try {
    const collection = finish.seat === null ? null : await collect(session, finish.seat)
    kept = reasonToKeep(session, collection, finish.keep)
    end = { ...end, collection }
    if (kept === null) end = { ...end, destroyed: await destroy(session, finish.mission.mission_id) }
  } catch (error) {
    if (!(error instanceof ApiError || isLazarusError(error))) throw error
    kept = error.message
  }
  end = { ...end, fetch: wayHome(end) }
  // A destroy tells it itself.
  if (end.fetch !== null && end.destroyed === null) session.note(`To bring the commits home:\n  ${end.fetch}`)
  if (kept !== null) tellKept(session, finish, kept)
  return end
}

async function collect(session: Session, seat: string): Promise<Collection> {
  const work = session.post<Collection>(`${seat}/collect`, undefined, { signal: goesOn })
  const { value } = await session.progress('Collecting the commits', work)
  session.note(describeCollection(value, plain).trimEnd())
  return value
}

async function destroy(session: Session, mission_id: string): Promise<DestroyReport> {
  const work = session.delete<DestroyReport>(`/v1/missions/${mission_id}`, { signal: goesOn })
  const { value } = await session.progress('Destroying the cell', work)
  session.note(describeDestroy(value).trimEnd())
  return value
}

/** Nothing that only the cell holds is thrown away. */
function reasonToKeep(session: Session, collection: Collection | null, keep: boolean): string | null {
  if ((collection?.uncommitted.length ?? 0) > 0)
    return 'work_uncollected: the command left changes that no commit holds'
  if (keep) return 'kept, as asked'
  return session.isRemote && (collection?.commits.length ?? 0) > 0 ? 'its commits are on the other host' : null
}

/** A kept mission keeps its trusted repository; of a destroyed one a bundle is left. */
function wayHome({ collection, destroyed }: RunEnd): string | null {
  if (collection === null || collection.commits.length === 0) return null
  return fetchLine(destroyed?.collected?.path ?? collection.repository, collection.branch)
}

function tellKept(session: Session, { mission, ownPit }: Finish, why: string): void {
  const short = mission.mission_id.slice(0, 8)
  const steps = [
    ...(ownPit ? ['start:   lazarus serve'] : []),
    `look:    lazarus mission inspect ${short}`,
    `destroy: lazarus destroy ${short} --force`,
  ]
  session.note(`The mission ${short} (${mission.mission_name}) is there still: ${why}\n  ${steps.join('\n  ')}`)
}
