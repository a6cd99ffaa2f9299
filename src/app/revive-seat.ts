import type { ReviveRequest } from '../contract/revival.ts'
import type { RevivedSeat } from '../contract/seat.ts'
import { bestCheckpoints } from '../domain/checkpoints.ts'
import { type MissionState, seatOf } from '../domain/mission.ts'
import { stopPlan } from '../domain/plan.ts'
import { hasTakenOver, replaced, requireRevivable, startRevival } from '../domain/revival.ts'
import type { SeatState } from '../domain/seat.ts'
import { seatView } from '../domain/views.ts'
import { timeLimit } from '../kernel/clock.ts'
import { asLazarusError, LazarusError } from '../kernel/errors.ts'
import { takeCheckpoint } from './checkpoint-seat.ts'
import { type Context, seatKey } from './context.ts'
import { layerOf, runPlan, workOn } from './executors.ts'
import { forkSeat } from './fork-seat.ts'
import { RESTORE_TIMEOUT_MS, restoreInQueue } from './restore-seat.ts'
import { hashToken, spawn } from './spawn-seat.ts'

/** By hand: also out of quarantine, from a checkpoint, or with a substitute. */
export async function reviveSeat(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  request: ReviveRequest,
  abort: AbortSignal,
): Promise<RevivedSeat> {
  const began = ctx.clock.monotonic()
  requireRevivable(ctx.book.get(mission_id), agent_id)
  const answer = (state: MissionState, name: string, token: string): RevivedSeat => ({
    ...seatView(state, seatOf(state, name)),
    token,
    revive_ms: ctx.clock.monotonic() - began,
  })
  if (request.agent_id !== undefined && request.agent_id !== agent_id) {
    const { token } = await substitute(ctx, mission_id, agent_id, request.agent_id, request.checkpoint_id, abort)
    return answer(ctx.book.get(mission_id), request.agent_id, token)
  }
  return ctx.seatQueue.run(
    seatKey(mission_id, agent_id),
    async () => {
      const token = ctx.entropy.token(32)
      requireRevivable(ctx.book.get(mission_id), agent_id)
      const state =
        request.checkpoint_id === undefined
          ? await reviveInQueue(ctx, mission_id, agent_id, hashToken(token))
          : await restoreInQueue(ctx, mission_id, agent_id, request.checkpoint_id, hashToken(token), abort)
      return answer(state, agent_id, token)
    },
    abort,
  )
}

/**
 * The next generation of a dead seat, from its live layer when that is intact, else from the best checkpoint that
 * verifies. For those who hold the queue of the seat.
 */
export async function reviveInQueue(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  token_hash: string,
): Promise<MissionState> {
  const began = ctx.clock.monotonic()
  const dead = ctx.book.get(mission_id)
  const seat = requireRevivable(dead, agent_id)
  await runPlan(ctx, stopPlan(), workOn(dead, seat, AbortSignal.timeout(60_000)))
  if (!(await ctx.workspace.isIntact(layerOf(dead, seat)))) {
    return reviveFromCheckpoint(ctx, dead, seat, token_hash)
  }
  const timeout = timeLimit(dead.policies.revive_timeout * 1000)
  const hold = lastWork(ctx, mission_id, agent_id, timeout)
  try {
    const intended = await ctx.book.commit(
      mission_id,
      (now) => startRevival(now, agent_id, 'live', token_hash),
      'begun',
    )
    return await spawn(ctx, intended, seatOf(intended, agent_id), began, timeout, hold)
  } finally {
    await hold // it reads the layer: the queue of the seat is not given back before
  }
}

/** What the dead one left is checkpointed while its successor starts; the successor is let go after that. */
async function lastWork(ctx: Context, mission_id: string, agent_id: string, abort: AbortSignal): Promise<void> {
  try {
    await takeCheckpoint(ctx, mission_id, agent_id, { reason: 'before revival', unchanged: 'skip', abort })
  } catch (error) {
    const { code, message } = asLazarusError(error)
    ctx.log.warn({ mission_id, agent_id, code, message }, 'no checkpoint was taken before a revival')
  }
}

async function reviveFromCheckpoint(
  ctx: Context,
  state: MissionState,
  seat: SeatState,
  token_hash: string,
): Promise<MissionState> {
  const { mission_id } = state
  const abort = AbortSignal.timeout(RESTORE_TIMEOUT_MS)
  for (const { checkpoint_id } of bestCheckpoints(seat)) {
    try {
      return await restoreInQueue(ctx, mission_id, seat.agent_id, checkpoint_id, token_hash, abort)
    } catch (error) {
      const failure = asLazarusError(error)
      if (failure.code !== 'checkpoint_corrupt') throw failure
      ctx.log.error(
        { mission_id, agent_id: seat.agent_id, checkpoint_id, message: failure.message },
        'a checkpoint is corrupt',
      )
    }
  }
  throw new LazarusError(
    'checkpoint_not_found',
    `The layer of "${seat.agent_id}" in mission ${mission_id} is torn, and no checkpoint of it verifies`,
    { remedy: 'Withdraw the seat with force: what is left of its work goes to the trash. Then seat the agent again.' },
  )
}

/** A seat for another agent, with the work and the command of the dead one; the dead one's place is released. */
async function substitute(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  by: string,
  checkpoint_id: string | undefined,
  abort: AbortSignal,
): Promise<{ readonly token: string }> {
  const key = seatKey(mission_id, agent_id)
  const from = checkpoint_id ?? (await ctx.seatQueue.run(key, () => newestWork(ctx, mission_id, agent_id), abort))
  const seat = seatOf(ctx.book.get(mission_id), agent_id)
  const { token } = await forkSeat(
    ctx,
    { mission_id, agent_id, checkpoint_id: from },
    { mission_id, request: { agent_id: by }, generation: seat.generation },
    abort,
  )
  await ctx.book.commit(mission_id, (now) => replaced(now, agent_id, by))
  return { token }
}

/** The same, where an earlier pit may have died in the middle of it: nobody gets two successors. */
export async function substituteOnce(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  by: string,
  abort: AbortSignal,
): Promise<void> {
  if (hasTakenOver(ctx.book.get(mission_id), agent_id, by)) {
    await ctx.book.commit(mission_id, (now) => replaced(now, agent_id, by))
  } else {
    await substitute(ctx, mission_id, agent_id, by, undefined, abort)
  }
}

/** The newest checkpoint, which holds everything that the dead seat has. */
async function newestWork(ctx: Context, mission_id: string, agent_id: string): Promise<string> {
  const state = ctx.book.get(mission_id)
  const seat = requireRevivable(state, agent_id)
  await runPlan(ctx, stopPlan(), workOn(state, seat, AbortSignal.timeout(60_000)))
  if (await ctx.workspace.isIntact(layerOf(state, seat))) {
    await takeCheckpoint(ctx, mission_id, agent_id, { reason: 'before substitution', unchanged: 'skip' })
  }
  const newest = seatOf(ctx.book.get(mission_id), agent_id).checkpoints.at(-1)
  if (newest) return newest.checkpoint_id
  throw new LazarusError('checkpoint_not_found', `Seat "${agent_id}" of mission ${mission_id} has no checkpoint`)
}
