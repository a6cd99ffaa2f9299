import type { Revival } from '../../contract/revival.ts'
import type { ExitFact, RevivedSeat, Seat, SpawnedSeat } from '../../contract/seat.ts'
import { shortCheckpoint } from './checkpoints.ts'
import type { Colours } from './colour.ts'
import { ago, duration } from './human.ts'
import { facts, table } from './table.ts'

/** The revival that waits for each seat, by `seatKey`. */
export type Waiting = ReadonlyMap<string, Revival>

export const seatKey = ({ mission_id, agent_id }: Pick<Seat, 'mission_id' | 'agent_id'>): string =>
  `${mission_id}/${agent_id}`

export const describeSpawned = (seat: SpawnedSeat): string =>
  facts([
    ['agent', seat.agent_id],
    ['role', seat.role],
    ['status', seat.status],
    ['level', seat.isolation.level],
    ['degraded', seat.isolation.effective?.degraded.join(', ') || 'nothing'],
    ['branch', seat.branch],
    ['spawned in', duration(seat.spawn_ms)],
    ['token', seat.token],
  ])

export const describeRevived = (seat: RevivedSeat): string =>
  facts([
    ['agent', seat.agent_id],
    ['status', seat.status],
    ['generation', seat.generation],
    ['resumed from', resumedFrom(seat)],
    ['branch', seat.branch],
    ['took', duration(seat.revive_ms)],
    ['token', seat.token],
  ])

const resumedFrom = ({ resumed_from }: Seat): string | null =>
  resumed_from === 'live' ? 'its live layer' : resumed_from

/** For a column: "live", "ckpt_3f2a9c1e", or nothing for a first generation. */
export const fromColumn = ({ resumed_from }: Seat): string | null => resumed_from && shortCheckpoint(resumed_from)

/** "SIGKILL", "exit 3", "oom", … */
export function describeExit({ cause, code, signal }: Pick<ExitFact, 'code' | 'signal'> & { cause: string }): string {
  if (cause === 'exit') return `exit ${code ?? '?'}`
  return cause === 'signal' ? (signal ?? 'signal') : cause
}

/** What there is to know of a seat beyond its status: why it is not at work, and what follows. */
export function seatNote(seat: Seat, waiting: Waiting, now_ms: number): string | null {
  const revival = waiting.get(seatKey(seat))
  const died = seat.exit === null ? null : `${describeExit(seat.exit)} ${ago(seat.exit.died_at, now_ms)}`
  if (seat.status === 'quarantined') return `${seat.quarantine}; ${wayOut(seat)}`
  if (revival) return [died, nextStep(revival, now_ms), howToAnswer(revival)].filter(Boolean).join('; ')
  if (seat.error !== null) return seat.error.message
  return seat.status === 'active' ? null : died
}

const wayOut = ({ mission_id, agent_id }: Seat): string => `lazarus revive ${mission_id.slice(0, 8)} ${agent_id}`

/** What becomes of a death that is to be undone. */
export function nextStep({ approval, not_before, substitute }: Revival, now_ms: number): string {
  const what = substitute === null ? 'revival' : `substitution by ${substitute}`
  if (approval === 'needed') return `${what} waits for approval`
  const wait = Date.parse(not_before) - now_ms
  return wait > 0 ? `${what} in ${duration(wait)}` : `${what} under way`
}

const howToAnswer = ({ approval, revival_id }: Revival): string | null =>
  approval === 'needed' ? `lazarus revivals approve ${revival_id}` : null

/** A session, as far as rendering looks at it. */
export interface Seen {
  readonly colours: Colours
  readonly io: { readonly now: () => number }
}

export const seatTable = ({ colours, io }: Seen, seats: readonly Seat[], waiting: Waiting): string =>
  table<Seat>(
    [
      { title: 'AGENT', value: (seat) => seat.agent_id },
      { title: 'ROLE', value: (seat) => seat.role },
      {
        title: 'STATUS',
        value: (seat) => seat.status,
        paint: (cell, value) => cell.replace(value, colours.status(value)),
      },
      { title: 'GEN', value: (seat) => seat.generation, align: 'right' },
      { title: 'FROM', value: fromColumn },
      { title: 'SINCE', value: (seat) => ago(seat.spawned_at, io.now()) },
      { title: 'WORK', value: (seat) => seat.collected?.outcome ?? null },
      { title: 'DEGRADED', value: (seat) => seat.isolation.effective?.degraded.join(', ') ?? null },
      { title: 'NOTE', value: (seat) => seatNote(seat, waiting, io.now()) },
    ],
    seats,
  )
