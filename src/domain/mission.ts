import type { DomainEvent, RecordedEvent } from '../contract/event.ts'
import type { IsolationLevel } from '../contract/ids.ts'
import type {
  BaseRef,
  CellPolicies,
  DestroyReport,
  KeptCommits,
  MissionStatus,
  WorkspaceMode,
} from '../contract/mission.ts'
import type { Policy } from '../contract/policy.ts'
import { LazarusError } from '../kernel/errors.ts'
import { unreachable } from '../kernel/exhaustive.ts'
import { changed, requested, type SeatEvent, type SeatState } from './seat.ts'

export interface MissionState {
  readonly mission_id: string
  /** Number of events folded: the expected version of the next append. */
  readonly version: number
  readonly mission_name: string
  readonly status: MissionStatus
  readonly isolation_level: IsolationLevel
  readonly base: BaseRef
  readonly workspace: WorkspaceMode
  readonly max_agents: number
  readonly timeout: number
  readonly policies: CellPolicies
  readonly policy: Policy
  readonly created_at: string
  readonly created_by: string
  readonly directory: string
  readonly seats: ReadonlyMap<string, SeatState>
  /** The intent that an unfinished destroy recorded. */
  readonly destroy: { readonly seal_id: string | null } | null
  /** What an unfinished destroy saved of the collected commits. */
  readonly kept_commits: KeptCommits | null
  readonly report: DestroyReport | null
}

/** What a command on a mission or a seat leads to: events, none for "already so". Commands throw why not. */
export type Decision = readonly DomainEvent[]

/** Folds one recorded event. Total: what decide let into the ledger never fails here. */
export function evolve(state: MissionState | null, event: RecordedEvent): MissionState {
  if (event.type === 'mission_created') return created(event)
  if (state === null) throw new Error(`stream ${event.mission_id} does not begin with mission_created`)
  const next = { ...state, version: event.version }
  return event.agent_id === null ? evolveMission(next, event) : evolveSeat(next, event)
}

export const fold = (events: Iterable<RecordedEvent>, from: MissionState | null = null): MissionState | null => {
  let state = from
  for (const event of events) state = evolve(state, event)
  return state
}

function created(event: RecordedEvent & { type: 'mission_created' }): MissionState {
  return {
    ...event.data,
    mission_id: event.mission_id,
    version: event.version,
    status: 'active',
    created_at: event.at,
    seats: new Map(),
    destroy: null,
    kept_commits: null,
    report: null,
  }
}

type MissionEvent = Extract<RecordedEvent, { agent_id: null }>

function evolveMission(state: MissionState, event: MissionEvent): MissionState {
  switch (event.type) {
    case 'mission_created':
      return state
    case 'mission_paused':
      return { ...state, status: 'paused' }
    case 'mission_resumed':
      return { ...state, status: 'active' }
    case 'mission_completed':
      return { ...state, status: 'completed', seats: withoutRevivals(state.seats) }
    case 'mission_failed':
      return { ...state, status: 'failed', seats: withoutRevivals(state.seats) }
    case 'archive_started':
      return { ...state, status: 'archiving' }
    case 'mission_archived':
      return { ...state, status: 'archived' }
    case 'destroy_started':
      return { ...state, status: 'destroying', destroy: { seal_id: event.data.seal_id } }
    case 'commits_saved':
      return { ...state, kept_commits: event.data.collected }
    case 'mission_destroyed':
      return {
        ...state,
        status: 'destroyed',
        report: { mission_id: state.mission_id, status: 'destroyed', ...event.data },
      }
    default:
      return unreachable(event)
  }
}

/** In a mission that is over nobody is brought back. */
function withoutRevivals(seats: MissionState['seats']): MissionState['seats'] {
  const over = (seat: SeatState): SeatState =>
    seat.revival === null
      ? seat
      : { ...seat, revival: null, status: seat.status === 'awaiting_approval' ? 'dead' : seat.status }
  return new Map([...seats].map(([agent_id, seat]) => [agent_id, over(seat)]))
}

function evolveSeat(state: MissionState, event: SeatEvent): MissionState {
  const before = state.seats.get(event.agent_id)
  const after = event.type === 'seat_requested' ? requested(event, before) : before && changed(before, event)
  if (after === undefined) throw new Error(`event ${event.seq} names the unknown seat ${event.agent_id}`)
  return { ...state, seats: new Map(state.seats).set(event.agent_id, after) }
}

export function seatOf(state: MissionState, agent_id: string): SeatState {
  const seat = state.seats.get(agent_id)
  if (!seat) throw new LazarusError('seat_not_found', `Mission ${state.mission_id} has no seat of agent "${agent_id}"`)
  return seat
}
