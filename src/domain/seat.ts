import type { Checkpoint } from '../contract/checkpoint.ts'
import type { RecordedEvent } from '../contract/event.ts'
import type { Role } from '../contract/ids.ts'
import type { FinalSnapshot, Released } from '../contract/mission.ts'
import type { EffectiveIsolation, Limits, NetworkMode } from '../contract/policy.ts'
import type { Revival } from '../contract/revival.ts'
import type { ExitFact, SandboxHandle, SeatStatus, WorkOutcome } from '../contract/seat.ts'
import { epochOf } from '../kernel/clock.ts'
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

export type SeatEvent = Exclude<RecordedEvent, { agent_id: null }>

/** A seat that was withdrawn or failed may be taken again; generations go on rising, as names derive from them. */
export function requested(event: SeatEvent & { type: 'seat_requested' }, before: SeatState | undefined): SeatState {
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

/** The seat after an event of its own. Total: what decide let into the ledger never fails here. */
export function changed(seat: SeatState, event: Exclude<SeatEvent, { type: 'seat_requested' }>): SeatState {
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

/** Whether a layer of this seat may exist on the host. */
export const holdsLayer = (seat: SeatState): boolean => seat.status !== 'withdrawn' && seat.role !== 'audit'

/** Whether the seat counts against `max_agents` and may not be taken again. */
export const isTaken = (seat: SeatState): boolean => seat.status !== 'withdrawn' && seat.status !== 'failed'
