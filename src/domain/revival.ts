import type { CellPolicies } from '../contract/mission.ts'
import type { ExitFact } from '../contract/seat.ts'
import { epochOf, isoTime } from '../kernel/clock.ts'
import { LazarusError } from '../kernel/errors.ts'
import { type Decision, type MissionState, seatOf } from './mission.ts'
import { holdsLayer, isTaken, type QueuedRevival, type SeatState } from './seat.ts'

/** The moment and the chance that a decision may use: decisions have neither of their own. */
export interface Moment {
  readonly now_ms: number
  readonly revival_id: string
}

const FIRST_BACKOFF_MS = 1000
const LONGEST_BACKOFF_MS = 60_000

/** In a crash loop the first revival is tried at once, the second after a second, then after twice as long each time. */
export const backoffMs = (attempt: number): number =>
  attempt <= 1 ? 0 : Math.min(FIRST_BACKOFF_MS * 2 ** (attempt - 2), LONGEST_BACKOFF_MS)

const takesWork = ({ status }: MissionState): boolean => status === 'active' || status === 'paused'

/** A signal that nobody raises against itself says nothing about whether the agent can live: it comes back at once. */
const OUTSIDE: ReadonlySet<string | null> = new Set(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP'])
const killedFromOutside = ({ cause, signal }: ExitFact): boolean => cause === 'signal' && OUTSIDE.has(signal)

/** Exit code 0 of an agent with a command of its own is an end, not a death. */
const endedWell = (seat: SeatState, exit: ExitFact): boolean =>
  exit.cause === 'exit' && exit.code === 0 && seat.command !== null

/**
 * What the policy makes of a death, in the same commit as the death itself, so that no crash can separate them. Nothing,
 * while the mission takes no work; deaths of a paused mission are queued and wait with it.
 */
export function afterExit(state: MissionState, seat: SeatState, exit: ExitFact, moment: Moment): Decision {
  if (!takesWork(state)) return []
  const { policies } = state
  if (endedWell(seat, exit)) {
    if (policies.on_success === 'complete' && state.status === 'active') {
      return [{ type: 'mission_completed', agent_id: null, data: {} }]
    }
    return policies.on_success === 'restart' ? tryAgain(state, seat, exit, moment, 'not_needed') : []
  }
  if (policies.auto_revive === 'no') return []
  return tryAgain(state, seat, exit, moment, policies.auto_revive === 'ask' ? 'needed' : 'not_needed')
}

/** A revival that did not come to life is a death again, without a new exit. */
export function afterFailedRevival(state: MissionState, seat: SeatState, moment: Moment): Decision {
  if (!takesWork(state) || state.policies.auto_revive === 'no' || seat.spawned_at === null) return []
  return tryAgain(state, seat, null, moment, 'not_needed')
}

/**
 * A restore whose intent is durable and that could not be carried out: the seat ran nothing since, so it is dead, with
 * whichever layer it has now, and comes back from that.
 */
export function restoreFailed(
  state: MissionState,
  agent_id: string,
  { code, message }: { readonly code: string; readonly message: string },
  moment: Moment,
): Decision {
  const seat = seatOf(state, agent_id)
  if (!seat.restoring) return []
  const failed = { generation: seat.generation, error: { code, message } }
  return [{ type: 'spawn_failed', agent_id, data: failed }, ...afterFailedRevival(state, seat, moment)]
}

/** The same for one that failed before its next generation began. */
export function revivalFailed(state: MissionState, agent_id: string, revival_id: string, moment: Moment): Decision {
  const seat = seatOf(state, agent_id)
  return seat.revival?.revival_id === revival_id ? afterFailedRevival(state, seat, moment) : []
}

function tryAgain(
  state: MissionState,
  seat: SeatState,
  exit: ExitFact | null,
  moment: Moment,
  approval: 'needed' | 'not_needed',
): Decision {
  const { agent_id } = seat
  const cause = exit?.cause ?? seat.exit?.cause ?? 'runtime_gone'
  const spent = retriesSpent(seat, state.policies, moment.now_ms)
  const isSpent = spent >= state.policies.max_retries
  const substitute = isSpent ? nextSubstitute(state, seat, spent) : null
  if (isSpent && substitute === null) {
    const reason = `${spent} of ${state.policies.max_retries} revivals within ${state.policies.retry_window} s are used up; last death: ${exit ? toldAs(exit) : cause}`
    return [{ type: 'seat_quarantined', agent_id, data: { reason } }]
  }
  const attempt = spent + 1
  const failures = substitute === null ? attempt : attempt - state.policies.max_retries
  const backoff_ms = exit && killedFromOutside(exit) ? 0 : backoffMs(failures)
  const revival = {
    revival_id: moment.revival_id,
    generation: seat.generation,
    cause,
    attempt,
    queued_at: isoTime(moment.now_ms),
    not_before: isoTime(moment.now_ms + backoff_ms),
    deadline: isoTime(moment.now_ms + state.policies.revive_timeout * 1000),
    approval,
    substitute,
  }
  return [{ type: 'revival_queued', agent_id, data: { revival } }]
}

const toldAs = ({ cause, code, signal }: ExitFact): string => {
  if (cause === 'exit') return `exit code ${code}`
  return cause === 'signal' && signal !== null ? signal : cause
}

const retriesSpent = (seat: SeatState, { retry_window }: CellPolicies, now_ms: number): number =>
  // A clock that jumped back must not empty the window, nor one that jumped ahead fill it.
  seat.revivals.filter((at_ms) => Math.abs(now_ms - at_ms) < retry_window * 1000).length

/**
 * The first substitute, in the order of the policy, that has no place in this mission; those that had one are used up,
 * and each is tried no more than once for each that the policy names: one that cannot be seated is not tried for ever.
 */
function nextSubstitute(state: MissionState, seat: SeatState, spent: number): string | null {
  const { max_retries, substitute_agents } = state.policies
  if (!holdsLayer(seat) || spent >= max_retries + substitute_agents.length) return null
  return substitute_agents.find((id) => id !== seat.agent_id && !state.seats.has(id)) ?? null
}

/**
 * How long a revival waits, and when it is given up: milliseconds on a clock that never jumps, counted from when it was
 * queued, or first seen after a restart of the pit.
 */
export function patience({ queued_at, not_before, deadline }: QueuedRevival): {
  readonly backoff_ms: number
  readonly give_up_ms: number
} {
  const queued_ms = epochOf(queued_at)
  return { backoff_ms: epochOf(not_before) - queued_ms, give_up_ms: epochOf(deadline) - queued_ms }
}

export const hasWaiting = (state: MissionState): boolean => {
  for (const { revival } of state.seats.values()) if (revival !== null) return true
  return false
}

export const waiting = (state: MissionState): readonly SeatState[] =>
  [...state.seats.values()]
    .filter(({ revival }) => revival !== null)
    .toSorted((a, b) => epochOf(a.revival!.queued_at) - epochOf(b.revival!.queued_at))

/** The seat whose revival this is. */
export function seatOfRevival(states: Iterable<MissionState>, revival_id: string): [MissionState, SeatState] {
  for (const state of states) {
    for (const seat of state.seats.values()) if (seat.revival?.revival_id === revival_id) return [state, seat]
  }
  throw new LazarusError('revival_not_found', `No revival ${revival_id} is waiting`)
}

export function approveRevival(state: MissionState, agent_id: string, revival_id: string, by: string): Decision {
  const { revival } = seatOf(state, agent_id)
  if (revival?.revival_id !== revival_id) return []
  return revival.approval === 'needed' ? [{ type: 'revival_approved', agent_id, data: { revival_id, by } }] : []
}

export function declineRevival(state: MissionState, agent_id: string, revival_id: string, by: string): Decision {
  if (seatOf(state, agent_id).revival?.revival_id !== revival_id) return []
  return [
    { type: 'revival_declined', agent_id, data: { revival_id, by } },
    { type: 'seat_released', agent_id, data: { reason: `${by} declined the revival` } },
  ]
}

/** A revival that did not come about in time is given up: somebody must look. */
export function timeOutRevival(state: MissionState, agent_id: string, revival_id: string): Decision {
  const { revival, status } = seatOf(state, agent_id)
  if (revival?.revival_id !== revival_id || state.status !== 'active' || status === 'reviving') return []
  const what = revival.approval === 'needed' ? 'nobody approved the revival' : 'the revival did not come about'
  return [
    { type: 'revival_timed_out', agent_id, data: { revival_id } },
    { type: 'seat_quarantined', agent_id, data: { reason: `${what} within ${state.policies.revive_timeout} s` } },
  ]
}

const REVIVABLE: ReadonlySet<SeatState['status']> = new Set(['dead', 'awaiting_approval', 'quarantined', 'released'])

/** Throws why a seat cannot be revived now. A quarantined one can: asking by hand is the way out. */
export function requireRevivable(state: MissionState, agent_id: string): SeatState {
  const seat = seatOf(state, agent_id)
  if (state.status !== 'active') {
    throw new LazarusError('conflict', `Mission ${state.mission_id} is ${state.status}: nothing is revived in it`)
  }
  if (REVIVABLE.has(seat.status)) return seat
  throw new LazarusError('conflict', `Seat "${agent_id}" of mission ${state.mission_id} is ${seat.status}, not dead`, {
    remedy:
      seat.status === 'active'
        ? 'Kill the agent first (lazarus kill), or go back with: lazarus restore'
        : 'Withdraw the seat, then seat the agent again.',
  })
}

/** The next generation of a dead seat; `resumed_from` is `live` or a checkpoint that lies in the layer already. */
export function startRevival(
  state: MissionState,
  agent_id: string,
  resumed_from: string,
  token_hash: string | null,
): Decision {
  const seat = requireRevivable(state, agent_id)
  return [{ type: 'spawn_started', agent_id, data: { generation: seat.generation + 1, resumed_from, token_hash } }]
}

/** Whether a seat of `by` began with the work of this dead one: an earlier attempt went that far. */
export function hasTakenOver(state: MissionState, agent_id: string, by: string): boolean {
  const seat = state.seats.get(by)
  const from = seat && isTaken(seat) ? seat.forked_from : null
  return from?.mission_id === state.mission_id && from.agent_id === agent_id
}

/** The place of a dead agent is given to a substitute, which has a seat of its own now. */
export function replaced(state: MissionState, agent_id: string, by: string): Decision {
  const seat = seatOf(state, agent_id)
  return isTaken(seat) && REVIVABLE.has(seat.status) && seat.status !== 'released'
    ? [{ type: 'seat_replaced', agent_id, data: { by } }]
    : []
}
