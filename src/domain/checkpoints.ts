import type { Checkpoint, CheckpointContext, CheckpointState } from '../contract/checkpoint.ts'
import type { Config } from '../contract/config.ts'
import { epochOf } from '../kernel/clock.ts'
import { LazarusError } from '../kernel/errors.ts'
import { type Decision, type MissionState, seatOf } from './mission.ts'
import { holdsLayer, type SeatState } from './seat.ts'
import { branchOf } from './views.ts'

/** In these states nobody may touch the layer but the verb that is at work. */
const BUSY: ReadonlySet<SeatState['status']> = new Set(['requested', 'spawning', 'failed', 'withdrawing', 'withdrawn'])

/** Throws why a seat has nothing to take a checkpoint of, or to restore into. */
export function requireLayer(state: MissionState, agent_id: string, verb: string): SeatState {
  const seat = seatOf(state, agent_id)
  const ending = state.status === 'destroying' || state.status === 'destroyed' || state.status === 'archived'
  if (ending) {
    throw new LazarusError('conflict', `Mission ${state.mission_id} is ${state.status}: no ${verb} is possible`)
  }
  if (BUSY.has(seat.status) || !holdsLayer(seat)) {
    throw new LazarusError(
      'conflict',
      `Seat "${agent_id}" of mission ${state.mission_id} (${seat.role}, ${seat.status}) has no layer for a ${verb}`,
    )
  }
  return seat
}

export function startCheckpoint(state: MissionState, agent_id: string, reason: string): Decision {
  const seat = requireLayer(state, agent_id, 'checkpoint')
  return [{ type: 'checkpoint_started', agent_id, data: { sequence: seat.sequence + 1, reason } }]
}

/** Only the checkpoint that was begun last is taken into the list: a late one is of a past that is over. */
export function checkpointTaken(state: MissionState, checkpoint: Checkpoint): Decision {
  const { agent_id } = checkpoint
  const seat = seatOf(state, agent_id)
  if (seat.checkpointing?.sequence !== checkpoint.sequence) return []
  return [{ type: 'checkpoint_taken', agent_id, data: { checkpoint } }]
}

export function checkpointFailed(
  state: MissionState,
  agent_id: string,
  sequence: number,
  error: { readonly code: string; readonly message: string },
): Decision {
  if (seatOf(state, agent_id).checkpointing?.sequence !== sequence) return []
  const { code, message } = error
  return [{ type: 'checkpoint_failed', agent_id, data: { sequence, error: { code, message } } }]
}

export function checkpointPruned(state: MissionState, agent_id: string, checkpoint_id: string, why: string): Decision {
  const { checkpoints, restoring } = seatOf(state, agent_id)
  const isKnown = checkpoints.some((checkpoint) => checkpoint.checkpoint_id === checkpoint_id)
  const isNeeded = restoring?.checkpoint_id === checkpoint_id
  return isKnown && !isNeeded ? [{ type: 'checkpoint_pruned', agent_id, data: { checkpoint_id, why } }] : []
}

export function checkpointOf(state: MissionState, agent_id: string, checkpoint_id: string): Checkpoint {
  const found = seatOf(state, agent_id).checkpoints.find((checkpoint) => checkpoint.checkpoint_id === checkpoint_id)
  if (found) return found
  throw new LazarusError(
    'checkpoint_not_found',
    `Seat "${agent_id}" of mission ${state.mission_id} has no checkpoint ${checkpoint_id}`,
  )
}

/**
 * The checkpoints of a seat whose layer is lost, best first: the newest, unless this generation began from an older one
 * and none was taken since.
 */
export function bestCheckpoints(seat: SeatState): readonly Checkpoint[] {
  const newestFirst = seat.checkpoints.toReversed()
  const origin = newestFirst.find(({ checkpoint_id }) => checkpoint_id === seat.resumed_from)
  const isOver = newestFirst.some(({ generation }) => generation >= seat.generation)
  return origin && !isOver ? [origin, ...newestFirst.filter((other) => other !== origin)] : newestFirst
}

export function startRestore(state: MissionState, agent_id: string, checkpoint_id: string): Decision {
  requireLayer(state, agent_id, 'restore')
  checkpointOf(state, agent_id, checkpoint_id)
  return [{ type: 'restore_started', agent_id, data: { checkpoint_id } }]
}

/**
 * The layer is the checkpoint's now; the next generation begins in the same breath, so that no crash can fall between.
 */
export function restored(state: MissionState, agent_id: string, token_hash: string | null): Decision {
  const seat = seatOf(state, agent_id)
  if (!seat.restoring) return []
  const { checkpoint_id } = seat.restoring
  const next = { generation: seat.generation + 1, resumed_from: checkpoint_id, token_hash }
  return [
    { type: 'restored', agent_id, data: { checkpoint_id } },
    { type: 'spawn_started', agent_id, data: next },
  ]
}

type Retention = Pick<Config['retention'], 'checkpoints' | 'checkpoint_days' | 'checkpoint_bytes'>

/**
 * Which checkpoints go, oldest first, and why: beyond the count, the age or the bytes. The newest one always stays, and
 * an archive that two share counts once, for the newer of them.
 */
export function toPrune(
  checkpoints: readonly Checkpoint[],
  retention: Retention,
  now_ms: number,
): readonly { readonly checkpoint_id: string; readonly why: string }[] {
  const newestFirst = checkpoints.toReversed()
  const seen = new Set<string>()
  let bytes = 0
  return newestFirst
    .map((checkpoint, index) => {
      if (!seen.has(checkpoint.sha256)) bytes += checkpoint.bytes
      seen.add(checkpoint.sha256)
      return { checkpoint_id: checkpoint.checkpoint_id, why: index === 0 ? null : whyNot(checkpoint, index, bytes) }
    })
    .filter((entry): entry is { checkpoint_id: string; why: string } => entry.why !== null)
    .toReversed()

  function whyNot({ created_at }: Checkpoint, index: number, total: number): string | null {
    if (index >= retention.checkpoints) return `more than ${retention.checkpoints} newer ones`
    if (now_ms - epochOf(created_at) > retention.checkpoint_days * 86_400_000)
      return `older than ${retention.checkpoint_days} days`
    return total > retention.checkpoint_bytes ? `more than ${retention.checkpoint_bytes} bytes in all` : null
  }
}

/** What stands in `state.json` and `context.json` of a checkpoint. */
export function checkpointState(state: MissionState, seat: SeatState): CheckpointState {
  return {
    mission_id: state.mission_id,
    agent_id: seat.agent_id,
    role: seat.role,
    status: seat.status,
    generation: seat.generation,
    isolation_level: state.isolation_level,
    branch: branchOf(seat),
    base: { repo: state.base.repo, ref: state.base.ref, commit: state.base.commit },
    collected: seat.collected,
  }
}

export function checkpointContext(seat: SeatState, session: Readonly<Record<string, unknown>>): CheckpointContext {
  return {
    command: seat.command && [...seat.command],
    resume_command: seat.resume_command && [...seat.resume_command],
    env_names: [...seat.env_names],
    session: { ...session },
  }
}
