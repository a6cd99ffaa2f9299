import { basename } from 'node:path'
import type { Mission } from '../contract/mission.ts'
import type { ExecRequest, ExecResult, SpawnedSeat } from '../contract/seat.ts'
import { isLazarusError } from '../kernel/errors.ts'
import { type ExecEnd, execStreamed, exitOf, readStdin } from './exec-stream.ts'
import { EXIT } from './exit-codes.ts'
import { type Source, sourceAround, sourceOf } from './hand-over.ts'
import { type MissionOptions, missionFields, policyFields, type RevivalOptions, without } from './mission-options.ts'
import { finishRun } from './run-finish.ts'
import type { Session } from './session.ts'

export interface RunOptions extends MissionOptions, Pick<RevivalOptions, 'autoRevive'> {
  readonly role: string
  readonly name?: string
  readonly agent: string
  readonly keep?: true
  readonly interactive?: true
  readonly env?: Readonly<Record<string, string>>
  readonly timeout?: number
}

const A_DAY_S = 86_400

export async function runMission(session: Session, command: readonly string[], options: RunOptions): Promise<number> {
  const stdin = options.interactive ? await readStdin(session) : undefined
  const pit = await ensurePit(session)
  try {
    const mission = await openMission(session, command, options)
    const { env, timeout = A_DAY_S } = options
    const request = without({ command, env, stdin, timeout }) as ExecRequest
    return await work(session, { mission, request, options, ownPit: pit !== null })
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
  const source = await sourceFor(session, options)
  const mission_name = options.name ?? `run ${basename(command[0]!)}`
  // A run hands on the command's own exit code: what ends, ends.
  const policies = policyFields({ autoRevive: options.autoRevive ?? 'no' })
  const body = without({ mission_name, ...source, max_agents: 1, ...missionFields(options), policies })
  return (await session.progress('Opening the mission', session.post<Mission>('/v1/missions', body))).value
}

async function sourceFor(session: Session, { repo, ref }: RunOptions): Promise<Source> {
  if (repo !== undefined) return sourceOf(session, repo, ref)
  const around = await sourceAround(session, ref)
  if (around !== null) return around
  session.note('note: no git checkout here; the worktree starts empty')
  return { repo, ref, display: undefined }
}

interface Work {
  readonly mission: Mission
  readonly request: ExecRequest
  readonly options: RunOptions
  readonly ownPit: boolean
}

/** From here on something exists that has to be ended, whatever happens. */
async function work(session: Session, { mission, request, options, ownPit }: Work): Promise<number> {
  const { agent, role, keep = false } = options
  const seats = `/v1/missions/${mission.mission_id}/seats`
  const seat = `${seats}/${encodeURIComponent(agent)}`
  let exec: ExecResult | ExecEnd | null = null
  let failure: unknown
  let seated = false
  try {
    await session.progress('Spawning the cell', session.post<SpawnedSeat>(seats, { agent_id: agent, role }))
    seated = true
    exec = session.json
      ? (await session.post<ExecResult>(`${seat}/exec`, request)).value
      : await execStreamed(session, seat, request)
  } catch (error) {
    failure = error
  }
  const writes = seated && (role === 'lead' || role === 'write')
  const end = await finishRun(session, { mission, seat: writes ? seat : null, keep, ownPit })
  if (session.json) await session.write(`${JSON.stringify({ mission, exec, ...end })}\n`)
  if (session.interrupted.aborted) return EXIT.interrupted
  if (exec === null) throw failure
  return exitOf(session, exec)
}
