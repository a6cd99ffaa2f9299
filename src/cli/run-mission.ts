import { basename } from 'node:path'
import type { DestroyReport, Mission } from '../contract/mission.ts'
import type { Collection, ExecRequest, ExecResult, SpawnedSeat } from '../contract/seat.ts'
import { isLazarusError } from '../kernel/errors.ts'
import { ApiError } from './client.ts'
import { type ExecEnd, execStreamed, exitOf, readStdin } from './exec-stream.ts'
import { EXIT } from './exit-codes.ts'
import { bundle, checkoutAround, sourceOf, withCopy } from './hand-over.ts'
import { type MissionOptions, missionFields, without } from './mission-options.ts'
import { describeCollection, fetchLine } from './render/collection.ts'
import { plain } from './render/colour.ts'
import { describeDestroy } from './render/destroy.ts'
import type { Session } from './session.ts'

export interface RunOptions extends MissionOptions {
  readonly role: string
  readonly name?: string
  readonly agent: string
  readonly keep?: true
  readonly interactive?: true
  readonly env?: Readonly<Record<string, string>>
  readonly timeout?: number
}

/** What --json prints: the answers of the REST API, by step; null for a step that was not reached. */
interface RunReport {
  readonly mission: Mission
  readonly exec: ExecResult | ExecEnd | null
  readonly collection: Collection | null
  readonly destroyed: DestroyReport | null
  /** The line that brings the commits home. */
  readonly fetch: string | null
}

const A_DAY_S = 86_400
/** Cleaning up goes on after Ctrl-C. */
const GOES_ON = { signal: new AbortController().signal }

export async function runMission(session: Session, command: readonly string[], options: RunOptions): Promise<number> {
  const stdin = options.interactive ? await readStdin(session) : undefined
  const pit = await ensurePit(session)
  try {
    const mission = await openMission(session, command, options)
    const { env, timeout = A_DAY_S } = options
    return await work(session, mission, without({ command, env, stdin, timeout }) as ExecRequest, options)
  } finally {
    await pit?.close()
  }
}

async function ensurePit(session: Session): Promise<{ close(): Promise<void> } | null> {
  if (session.isElsewhere) return null
  try {
    await session.get('/healthz')
    return null
  } catch (error) {
    if (!isLazarusError(error) || error.code !== 'pit_not_running') throw error
  }
  const pit = await session.progress('Starting a pit', session.settings.local.start(session.state_dir))
  session.useSocket(pit.socket)
  return pit
}

async function openMission(session: Session, command: readonly string[], options: RunOptions): Promise<Mission> {
  const repo = options.repo ?? (await checkoutAround(session)) ?? undefined
  if (repo === undefined) session.note('note: no git checkout here; the worktree starts empty')
  const source = await sourceOf(session, repo, options.ref)
  const mission_name = options.name ?? `run ${basename(command[0]!)}`
  const body = without({ mission_name, repo: source.repo, ref: source.ref, max_agents: 1, ...missionFields(options) })
  const answer = await withCopy(session, source, () =>
    session.progress('Opening the mission', session.post<Mission>('/v1/missions', body)),
  )
  return answer.value
}

/** From here on something exists that has to be ended, whatever happens. */
async function work(session: Session, mission: Mission, request: ExecRequest, options: RunOptions): Promise<number> {
  const seat = `/v1/missions/${mission.mission_id}/seats/${options.agent}`
  let exec: RunReport['exec'] = null
  let failure: unknown
  let seated = false
  try {
    const body = { agent_id: options.agent, role: options.role }
    await session.progress(
      'Spawning the cell',
      session.post<SpawnedSeat>(`/v1/missions/${mission.mission_id}/seats`, body),
    )
    seated = true
    exec = session.json
      ? (await session.post<ExecResult>(`${seat}/exec`, request)).value
      : await execStreamed(session, seat, request)
  } catch (error) {
    failure = error
  }
  const collects = seated && (options.role === 'lead' || options.role === 'write')
  const report = await finish(session, { mission, exec, seat, collects, keep: options.keep ?? false })
  if (session.json) await session.write(`${JSON.stringify(report)}\n`)
  if (session.interrupted.aborted) return EXIT.interrupted
  if (failure !== undefined || exec === null) throw failure
  return exitOf(session, exec)
}

interface Finish extends Pick<RunReport, 'mission' | 'exec'> {
  readonly seat: string
  readonly collects: boolean
  readonly keep: boolean
}

/** Collects, says how the commits come home, and destroys what holds nothing any more. */
async function finish(session: Session, { mission, exec, seat, collects, keep }: Finish): Promise<RunReport> {
  const report = { mission, exec, collection: null, destroyed: null, fetch: null }
  let collection: Collection | null = null
  let fetch: string | null = null
  try {
    if (collects) {
      collection = (
        await session.progress(
          'Collecting the commits',
          session.post<Collection>(`${seat}/collect`, undefined, GOES_ON),
        )
      ).value
      tell(session, describeCollection(collection, plain))
      fetch = await wayHome(session, mission, collection, keep)
    }
    const left = collection !== null && collection.uncommitted.length > 0
    if (left) throw new Kept('work_uncollected: the command left changes that no commit holds')
    if (keep) throw new Kept('kept, as asked')
    if (collection !== null && collection.commits.length > 0 && session.isRemote)
      throw new Kept('kept: its commits are on the other host')
    const path = `/v1/missions/${mission.mission_id}`
    const destroyed = (await session.progress('Destroying the cell', session.delete<DestroyReport>(path, GOES_ON)))
      .value
    tell(session, describeDestroy(destroyed))
    tellFetch(session, fetch)
    return { ...report, collection, destroyed, fetch }
  } catch (error) {
    if (!(error instanceof Kept || error instanceof ApiError || isLazarusError(error))) throw error
    tellFetch(session, fetch)
    tellKept(session, mission, error.message)
    return { ...report, collection, fetch }
  }
}

/** Why a mission stays. */
class Kept extends Error {}

/** A kept mission keeps its trusted repository; that of a destroyed one goes, so its commits move into a bundle. */
async function wayHome(
  session: Session,
  mission: Mission,
  collection: Collection,
  keep: boolean,
): Promise<string | null> {
  const { commits, branch, repository, base, uncommitted } = collection
  if (commits.length === 0) return null
  if (keep || uncommitted.length > 0 || session.isRemote) return fetchLine(repository, branch)
  return fetchLine(await bundle(session, repository, branch, base, mission.mission_id), branch)
}

const tell = (session: Session, text: string): void => session.note(text.trimEnd())

function tellFetch(session: Session, fetch: string | null): void {
  if (fetch !== null) session.note(`To bring the commits home:\n  ${fetch}`)
}

function tellKept(session: Session, { mission_id, mission_name }: Mission, why: string): void {
  const short = mission_id.slice(0, 8)
  session.note(
    `The mission ${short} (${mission_name}) is there still: ${why}\n  look:    lazarus mission inspect ${short}\n  destroy: lazarus destroy ${short} --force`,
  )
}
