import type { RevivedSeat } from '../contract/seat.ts'
import { checkpointOf, requireLayer, restored, startRestore } from '../domain/checkpoints.ts'
import { type MissionState, seatOf } from '../domain/mission.ts'
import { restorePlan } from '../domain/plan.ts'
import { restoreFailed } from '../domain/revival.ts'
import type { SeatState } from '../domain/seat.ts'
import { seatView } from '../domain/views.ts'
import { asLazarusError, LazarusError } from '../kernel/errors.ts'
import { takeCheckpoint } from './checkpoint-seat.ts'
import { type Context, moment, seatKey } from './context.ts'
import { layerOf, runPlan, workOn } from './executors.ts'
import { hashToken, spawn } from './spawn-seat.ts'

/** Longest that laying out a checkpoint and starting from it may take. */
export const RESTORE_TIMEOUT_MS = 30 * 60_000

/**
 * Back to a checkpoint: it is read again whole and laid out beside the live layer while the present is checkpointed, and
 * only then is the seat touched. A checkpoint that does not verify leaves everything as it was.
 */
export async function restoreSeat(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  checkpoint_id: string,
  abort: AbortSignal,
): Promise<RevivedSeat> {
  const began = ctx.clock.monotonic()
  requireActive(ctx.book.get(mission_id))
  return ctx.seatQueue.run(
    seatKey(mission_id, agent_id),
    async () => {
      const token = ctx.entropy.token(32)
      const state = await restoreInQueue(ctx, mission_id, agent_id, checkpoint_id, hashToken(token), abort)
      const seat = seatView(state, seatOf(state, agent_id))
      return { ...seat, token, revive_ms: ctx.clock.monotonic() - began }
    },
    abort,
  )
}

function requireActive(state: MissionState): void {
  if (state.status === 'active') return
  throw new LazarusError('conflict', `Mission ${state.mission_id} is ${state.status}: nothing is restored in it`)
}

/** For verbs that hold the queue of the seat. */
export async function restoreInQueue(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  checkpoint_id: string,
  token_hash: string,
  abort: AbortSignal,
): Promise<MissionState> {
  const before = ctx.book.get(mission_id)
  const seat = requireLayer(before, agent_id, 'restore')
  const checkpoint = checkpointOf(before, agent_id, checkpoint_id)
  try {
    ctx.faults?.('stage_layer')
    await both(ctx.checkpoints.stage(layerOf(before, seat), checkpoint, abort), keepPresent(ctx, before, seat, abort))
    ctx.faults?.('record_restore')
    await ctx.book.commit(mission_id, (now) => startRestore(now, agent_id, checkpoint_id), 'begun')
  } catch (error) {
    await ctx.checkpoints.unstage({ mission_id, agent_id }).catch(() => {}) // the next stage or sweep does it
    throw error
  }
  return finishRestore(ctx, mission_id, agent_id, token_hash, true)
}

/** Waits for the end of both, also when one fails: nothing goes on when this throws. */
async function both(...tasks: readonly [Promise<unknown>, Promise<unknown>]): Promise<void> {
  for (const end of await Promise.allSettled(tasks)) if (end.status === 'rejected') throw end.reason
}

/** A layer that a crash of the host tore is beyond checkpointing: it is why we go back. */
async function keepPresent(ctx: Context, state: MissionState, seat: SeatState, abort: AbortSignal): Promise<void> {
  if (!(await ctx.workspace.isIntact(layerOf(state, seat)))) return
  await takeCheckpoint(ctx, state.mission_id, seat.agent_id, { reason: 'before restore', unchanged: 'skip', abort })
}

/**
 * Runs, or runs on, a restore whose intent is durable. Where it fails, the seat is dead with the layer that it has, and
 * the policy brings it back.
 */
export async function finishRestore(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  token_hash: string,
  isStaged: boolean,
): Promise<MissionState> {
  const began = ctx.clock.monotonic()
  const state = ctx.book.get(mission_id)
  const abort = AbortSignal.timeout(RESTORE_TIMEOUT_MS)
  try {
    await runPlan(ctx, restorePlan(isStaged), workOn(state, seatOf(state, agent_id), abort))
    ctx.faults?.('record_restored')
  } catch (error) {
    const failure = asLazarusError(error)
    await ctx.book.commit(mission_id, (now) => restoreFailed(now, agent_id, failure, moment(ctx)))
    throw failure
  }
  const intended = await ctx.book.commit(mission_id, (now) => restored(now, agent_id, token_hash), 'begun')
  return spawn(ctx, intended, seatOf(intended, agent_id), began, abort)
}
