import type { Checkpoint } from '../contract/checkpoint.ts'
import type { RecordedEvent } from '../contract/event.ts'
import type { IsolationLevel, Role } from '../contract/ids.ts'
import type {
  BaseRef,
  CellPolicies,
  DestroyReport,
  FinalSnapshot,
  KeptCommits,
  MissionStatus,
  Released,
  WorkspaceMode,
} from '../contract/mission.ts'
import type { EffectiveIsolation, Limits, NetworkMode, Policy } from '../contract/policy.ts'
import type { Revival } from '../contract/revival.ts'
import type { ExitFact, SandboxHandle, SeatStatus, WorkOutcome } from '../contract/seat.ts'
import { epochOf } from '../kernel/clock.ts'
import { LazarusError } from '../kernel/errors.ts'
import { unreachable } from '../kernel/exhaustive.ts'

/** A revival as its seat holds it. */
export type QueuedRevival = Omit<Revival, 'mission_id' | 'agent_id'>

export interface SeatState {
  readonly agent_id: string
  readonly role: Role
  readonly status: SeatStatus
  readonly generation: number
  readonly command: readonly string[] | null
  readonly resume_command: readonly string[] | null
  readonly env_names: readonly string[]
  readonly network: NetworkMode | null
  readonly limits: Limits | null
  readonly heartbeat_interval: number | null
  readonly forked_from: {
    readonly mission_id: string
    readonly agent_id: string
    readonly checkpoint_id: string
  } | null
  readonly token_hash: string
  readonly handle: SandboxHandle | null
  readonly effective: EffectiveIsolation | null
  readonly spawn_ms: number | null
  readonly requested_at: string
  readonly spawned_at: string | null
  readonly exit: ExitFact | null
  /** Why the pit itself ends this generation: the cause of the exit that follows. */
  readonly end_decided: { readonly cause: 'hung' | 'limit'; readonly why: string } | null
  /** Where this generation came from: `live`, or a checkpoint; null for the first. */
  readonly resumed_from: string | null
  /** The death that waits to be undone. */
  readonly revival: QueuedRevival | null
  /** When the last thousand revivals were queued, newest last, epoch ms. */
  readonly revivals: readonly number[]
  readonly quarantine: string | null
  /** Oldest first. */
  readonly checkpoints: readonly Checkpoint[]
  /** Of the last checkpoint that was begun. */
  readonly sequence: number
  /** A checkpoint, a restore that is going on, or was when the lights went out. */
  readonly checkpointing: { readonly sequence: number } | null
  readonly restoring: { readonly checkpoint_id: string } | null
  readonly collected: { readonly head: string; readonly outcome: WorkOutcome; readonly at: string } | null
  readonly error: { readonly code: string; readonly message: string } | null
  /** What the withdrawal saved and ended. */
  readonly final_checkpoint: FinalSnapshot | null
  readonly released: Released | null
}

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
type SeatEvent = Exclude<RecordedEvent, { agent_id: null }>

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

/** A seat that was withdrawn or failed may be taken again; generations go on rising, as names derive from them. */
function requested(event: SeatEvent & { type: 'seat_requested' }, before: SeatState | undefined): SeatState {
  return {
    ...event.data,
    agent_id: event.agent_id,
    status: 'requested',
    generation: before?.generation ?? 0,
    handle: null,
    effective: null,
    spawn_ms: null,
    requested_at: event.at,
    spawned_at: null,
    exit: null,
    end_decided: null,
    resumed_from: null,
    revival: null,
    revivals: [],
    quarantine: null,
    checkpoints: [],
    sequence: before?.sequence ?? 0,
    checkpointing: null,
    restoring: null,
    collected: null,
    error: null,
    final_checkpoint: null,
    released: null,
  }
}

function changed(seat: SeatState, event: Exclude<SeatEvent, { type: 'seat_requested' }>): SeatState {
  switch (event.type) {
    case 'spawn_started':
      return { ...seat, ...started(seat, event.data) }
    case 'seat_spawned': {
      const { handle, effective, spawn_ms } = event.data
      return { ...seat, status: 'active', handle, effective, spawn_ms, spawned_at: event.at, revival: null }
    }
    case 'spawn_failed':
      // What never ran has failed; what ran before is dead still, with its layer.
      return {
        ...seat,
        status: seat.spawned_at === null ? 'failed' : 'dead',
        handle: null,
        revival: null,
        restoring: null,
        error: event.data.error,
      }
    case 'seat_exited':
      return { ...seat, status: 'dead', exit: event.data.exit, end_decided: null }
    case 'end_decided':
      return { ...seat, end_decided: { cause: event.data.cause, why: event.data.why } }
    case 'revival_queued':
      return queued(seat, event.data.revival)
    case 'revival_approved':
      return { ...seat, status: 'dead', revival: seat.revival && { ...seat.revival, approval: 'given' } }
    case 'revival_declined':
    case 'revival_timed_out':
      return { ...seat, status: 'dead', revival: null }
    case 'seat_quarantined':
      return { ...seat, status: 'quarantined', revival: null, quarantine: event.data.reason }
    case 'seat_released':
    case 'seat_replaced':
      return { ...seat, status: 'released', revival: null, quarantine: null }
    case 'checkpoint_started':
      return { ...seat, sequence: event.data.sequence, checkpointing: { sequence: event.data.sequence } }
    case 'checkpoint_taken':
      return { ...seat, checkpointing: null, checkpoints: [...seat.checkpoints, event.data.checkpoint] }
    case 'checkpoint_failed':
      return { ...seat, checkpointing: null }
    case 'checkpoint_pruned':
      return {
        ...seat,
        checkpoints: seat.checkpoints.filter(({ checkpoint_id }) => checkpoint_id !== event.data.checkpoint_id),
      }
    case 'restore_started':
      return { ...seat, status: 'reviving', restoring: { checkpoint_id: event.data.checkpoint_id }, revival: null }
    case 'restored':
      return { ...seat, restoring: null }
    case 'seat_paused':
      return { ...seat, status: 'paused' }
    case 'seat_resumed':
      return { ...seat, status: 'active' }
    case 'collected':
      return { ...seat, collected: { head: event.data.head, outcome: event.data.outcome, at: event.at } }
    case 'withdraw_started':
      return { ...seat, status: 'withdrawing', revival: null, restoring: null }
    case 'layer_saved':
      return { ...seat, final_checkpoint: event.data.final_checkpoint }
    case 'seat_withdrawn':
      return { ...seat, ...event.data, status: 'withdrawn', handle: null }
    case 'refused':
    case 'orphan_reaped':
      return seat
    default:
      return unreachable(event)
  }
}

/** A next generation is a revival: the handle of the dead one stays known until the new one runs. */
function started(seat: SeatState, data: (SeatEvent & { type: 'spawn_started' })['data']): Partial<SeatState> {
  const { generation, resumed_from, token_hash } = data
  return {
    status: seat.spawned_at === null ? 'spawning' : 'reviving',
    generation,
    resumed_from,
    token_hash: token_hash ?? seat.token_hash,
    handle: null,
    exit: null,
    error: null,
    quarantine: null,
    // Whoever brings one back out of quarantine says that it is mended.
    ...(seat.quarantine !== null && { revivals: [] }),
  }
}

function queued(seat: SeatState, revival: QueuedRevival): SeatState {
  const status = revival.approval === 'needed' ? 'awaiting_approval' : 'dead'
  const at = epochOf(revival.queued_at)
  // Later ones are of a clock that was set back since: they must not count again when that hour comes round.
  return { ...seat, status, revival, revivals: [...seat.revivals.filter((earlier) => earlier <= at), at].slice(-1000) }
}

export function seatOf(state: MissionState, agent_id: string): SeatState {
  const seat = state.seats.get(agent_id)
  if (!seat) throw new LazarusError('seat_not_found', `Mission ${state.mission_id} has no seat of agent "${agent_id}"`)
  return seat
}

/** Whether a layer of this seat may exist on the host. */
export const holdsLayer = (seat: SeatState): boolean => seat.status !== 'withdrawn' && seat.role !== 'audit'

/** Whether the seat counts against `max_agents` and may not be taken again. */
export const isTaken = (seat: SeatState): boolean => seat.status !== 'withdrawn' && seat.status !== 'failed'
