import type { Command } from 'commander'
import type { LifeSigns, PitStatus } from '../../contract/pit.ts'
import type { Seat } from '../../contract/seat.ts'
import { isLazarusError, LazarusError } from '../../kernel/errors.ts'
import { ApiError } from '../client.ts'
import { EXIT } from '../exit-codes.ts'
import { ago, duration } from '../render/human.ts'
import { facts } from '../render/table.ts'
import type { Answer, Session } from '../session.ts'
import { addVerb, type Run } from '../verb.ts'

/** It answers out of memory: longer than that, it hangs. */
const PATIENCE_MS = 10_000

const WORDS = {
  usage: 'status',
  summary: 'whether a pit is running, since when, and what it holds; in a cell, the seat',
  examples: ['status', 'status --json'],
  notes: 'Exit code 0 when it runs, 1 when it does not or does not answer.',
}

export function addStatusVerb(program: Command, run: Run): void {
  addVerb(program, run, WORDS, (session) => showStatus(session))
}

export async function showStatus(session: Session): Promise<number> {
  try {
    await session.print(await ask<PitStatus>(session, '/v1/status'), (status) => render(session, status))
  } catch (error) {
    if (error instanceof ApiError && error.code === 'forbidden') return showSeat(session)
    throw await explained(session, error)
  }
  return EXIT.done
}

async function ask<T>(session: Session, path: string): Promise<Answer<T>> {
  const patience = AbortSignal.timeout(PATIENCE_MS)
  try {
    return await session.get<T>(path, { signal: AbortSignal.any([patience, session.interrupted]) })
  } catch (error) {
    if (!patience.aborted) throw error
    throw new LazarusError('timed_out', `The pit did not answer within ${PATIENCE_MS / 1000} s`, {
      cause: error,
      remedy: 'Look at its log. Its agents go on when it is ended with kill -9 and started again.',
    })
  }
}

/** A cell may not look at the pit as a whole. */
async function showSeat(session: Session): Promise<number> {
  const now = session.io.now()
  await session.print(await ask<Seat>(session, '/v1/self'), (seat) =>
    facts([
      ['seat', `${seat.agent_id} of mission ${seat.mission_id}`],
      ['role', seat.role],
      ['status', `${seat.status}, generation ${seat.generation}, since ${ago(seat.spawned_at, now)}`],
      ['level', seat.isolation.level],
      ['branch', seat.branch],
      ['resumed from', seat.resumed_from],
    ]),
  )
  return EXIT.done
}

function render({ colours, io }: Session, status: PitStatus): string {
  const levels = status.levels.map(({ level, status: able }) => `${level} ${colours.status(able)}`)
  const { waiting, awaiting_approval } = status.revivals
  return facts([
    ['pit', `${status.recovered ? 'running' : 'recovering'}, pid ${status.pid}, version ${status.version}`],
    ['since', `${status.started_at} (${duration(status.uptime_s * 1000)})`],
    ['listens on', [status.socket, status.url].filter((where) => where !== null).join(' and ')],
    ['missions', tally(status.missions)],
    ['seats', tally(status.seats)],
    ['agents', tally(status.agents)],
    ['revivals', waiting === 0 ? 'none waiting' : `${waiting} waiting, ${awaiting_approval} of them for approval`],
    ['last sweep', ago(status.last_sweep, io.now())],
    ['levels', levels.length === 0 ? 'being probed' : levels.join(', ')],
    ['state', status.state_dir],
    ['missions path', status.missions_path],
  ])
}

const tally = (counts: Readonly<Record<string, number>>): string => {
  const some = Object.entries(counts).map(([name, n]) => `${n} ${name}`)
  return some.length === 0 ? 'none' : some.join(', ')
}

/** Nobody listens: what the last pit left tells why. */
async function explained(session: Session, error: unknown): Promise<unknown> {
  if (!isLazarusError(error) || error.code !== 'pit_not_running' || session.isElsewhere) return error
  const why = whyNot(await session.settings.local.lifeSigns(session.state_dir))
  if (why === null) return error
  return new LazarusError('pit_not_running', `${error.message}: ${why}`, { cause: error, remedy: error.remedy })
}

function whyNot({ pit, stopped, alive }: LifeSigns): string | null {
  if (stopped) return `the last one was stopped at ${stopped.at}`
  if (pit)
    return alive ? `process ${pit.pid} has not opened it yet, or lost it` : `the last one, process ${pit.pid}, died`
  return null
}
