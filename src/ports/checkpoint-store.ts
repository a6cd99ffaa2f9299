import type { Checkpoint, CheckpointContext, CheckpointState } from '../contract/checkpoint.ts'
import type { SeatName } from '../contract/ids.ts'
import type { SeatLayer } from './workspace.ts'

export interface CheckpointOrder {
  readonly generation: number
  readonly sequence: number
  readonly reason: string
  /** Nothing in the seat runs meanwhile. */
  readonly paused: boolean
  readonly state: CheckpointState
  readonly context: CheckpointContext
  /** The newest one: where nothing changed since, its archive is shared, or no checkpoint is made. */
  readonly previous: Checkpoint | null
  readonly unchanged: 'share' | 'skip'
}

/**
 * Tar snapshots of seats, `<cell directory>/checkpoints/<agent_id>/<checkpoint_id>/`. What is in a layer is read and
 * written in the airlock alone. Every verb may be repeated; nothing appears half.
 */
export interface CheckpointStore {
  /** Durable when it resolves. null: nothing changed, and 'skip' was asked for. */
  take(layer: SeatLayer, order: CheckpointOrder, abort: AbortSignal): Promise<Checkpoint | null>
  /** Whether the checkpoint is there, and nothing in the seat changed since. Reads names and times alone. */
  isCurrent(layer: SeatLayer, checkpoint: Checkpoint, abort: AbortSignal): Promise<boolean>
  /** Reads all of it again. Throws checkpoint_corrupt when anything differs from what the ledger knows. */
  verify(checkpoint: Checkpoint, abort: AbortSignal): Promise<{ readonly bytes: number; readonly entries: number }>
  /**
   * Verifies it, and lays a fresh layer out of it beside the one that the seat may have; that one is not touched. The
   * checkpoint may be another seat's: the layer then gets this seat's branch and name.
   */
  stage(layer: SeatLayer, from: Checkpoint, abort: AbortSignal): Promise<void>
  /** The staged layer becomes the seat's, and the one before is deleted, soon after this resolves. Nothing of the seat runs. Done already is fine. */
  swap(layer: SeatLayer, from: Checkpoint): Promise<void>
  /** Deletes what was staged and not swapped in. */
  unstage(seat: SeatName): Promise<void>
  remove(checkpoint: Checkpoint): Promise<void>
  /** Deletes what a killed pit left of the seat: half checkpoints, staged layers, checkpoints that the ledger does not list. */
  sweep(seat: SeatName, listed: ReadonlySet<string>): Promise<void>
}
