import type { Checkpoint, CheckpointVerification, PruneReport } from '../contract/checkpoint.ts'
import {
  checkpointContext,
  checkpointFailed,
  checkpointOf,
  checkpointPruned,
  checkpointState,
  checkpointTaken,
  requireLayer,
  startCheckpoint,
  toPrune,
} from '../domain/checkpoints.ts'
import { type MissionState, seatOf } from '../domain/mission.ts'
import type { SeatState } from '../domain/seat.ts'
import { asLazarusError } from '../kernel/errors.ts'
import { type Context, driverFor, seatKey } from './context.ts'
import { layerOf } from './executors.ts'

/** Longest that one checkpoint may take. */
const CHECKPOINT_TIMEOUT_MS = 10 * 60_000

/** The verb: one is always made. Where nothing changed, it shares the archive of the one before. */
export async function checkpointSeat(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  reason: string,
  abort: AbortSignal,
): Promise<Checkpoint> {
  const taken = await ctx.seatQueue.run(
    seatKey(mission_id, agent_id),
    () => takeCheckpoint(ctx, mission_id, agent_id, { reason, unchanged: 'share', abort }),
    abort,
  )
  return taken!
}

export interface Taking {
  readonly reason: string
  readonly unchanged: 'share' | 'skip'
  readonly abort?: AbortSignal
}

/**
 * Intent, archive, fact; then the retention. For verbs that hold the queue of the seat. null: nothing changed since the
 * newest one, and it was to be skipped.
 */
export async function takeCheckpoint(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  { reason, unchanged, abort }: Taking,
): Promise<Checkpoint | null> {
  const state = await ctx.book.commit(mission_id, (now) => startCheckpoint(now, agent_id, reason), 'begun')
  const seat = seatOf(state, agent_id)
  const { sequence } = seat
  const signal = AbortSignal.any([AbortSignal.timeout(CHECKPOINT_TIMEOUT_MS), ...(abort ? [abort] : [])])
  try {
    ctx.faults?.('take_checkpoint')
    const taken = await frozen(ctx, state, seat, (paused) =>
      ctx.checkpoints.take(
        layerOf(state, seat),
        {
          generation: Math.max(seat.generation, 1),
          sequence,
          reason,
          paused,
          state: checkpointState(state, seat),
          context: checkpointContext(seat, ctx.health.session(mission_id, agent_id)),
          previous: seat.checkpoints.at(-1) ?? null,
          unchanged,
        },
        signal,
      ),
    )
    if (taken === null) {
      await ctx.book.commit(mission_id, (now) => checkpointFailed(now, agent_id, sequence, UNCHANGED), 'begun')
      return null
    }
    ctx.faults?.('record_checkpoint')
    await ctx.book.commit(mission_id, (now) => checkpointTaken(now, taken))
    void pruneLater(ctx, mission_id, agent_id)
    return taken
  } catch (error) {
    const failure = asLazarusError(error)
    await ctx.book.commit(mission_id, (now) => checkpointFailed(now, agent_id, sequence, failure))
    throw failure
  }
}

const UNCHANGED = { code: 'unchanged', message: 'Nothing changed since the newest checkpoint' }

/** Stops every process of the seat meanwhile, where the driver can; tells whether nothing ran. */
async function frozen<T>(
  ctx: Context,
  state: MissionState,
  seat: SeatState,
  work: (paused: boolean) => Promise<T>,
): Promise<T> {
  const driver = driverFor(ctx, state.isolation_level)
  if (seat.status !== 'active' || !seat.handle) return work(true)
  if (!driver.capabilities.freeze) return work(false)
  await driver.signal(seat.handle, 'freeze')
  try {
    return await work(true)
  } finally {
    // Who paused the mission meanwhile wants it to stay as it is.
    const isActive = seatOf(ctx.book.get(state.mission_id), seat.agent_id).status === 'active'
    if (isActive) await driver.signal(seat.handle, 'thaw')
    ctx.health.excuse({ mission_id: state.mission_id, agent_id: seat.agent_id })
  }
}

export async function verifyCheckpoint(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  checkpoint_id: string,
  abort: AbortSignal,
): Promise<CheckpointVerification> {
  const began = ctx.clock.monotonic()
  const checkpoint = checkpointOf(ctx.book.get(mission_id), agent_id, checkpoint_id)
  const { bytes, entries } = await ctx.checkpoints.verify(checkpoint, abort)
  return { checkpoint_id, sound: true, bytes, entries, took_ms: ctx.clock.monotonic() - began }
}

export async function pruneCheckpoints(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  keep: number | undefined,
): Promise<PruneReport> {
  requireLayer(ctx.book.get(mission_id), agent_id, 'checkpoint')
  const { retention } = ctx.config
  const asked = keep === undefined ? retention : { ...retention, checkpoints: keep }
  return ctx.seatQueue.run(seatKey(mission_id, agent_id), () => prune(ctx, mission_id, agent_id, asked))
}

/** After the verb that holds the queue of the seat: it may need the very one that is too old. */
async function pruneLater(ctx: Context, mission_id: string, agent_id: string): Promise<void> {
  if (retired(ctx, mission_id, agent_id, ctx.config.retention).length === 0) return
  try {
    await pruneCheckpoints(ctx, mission_id, agent_id, undefined)
  } catch (error) {
    const { code, message } = asLazarusError(error)
    ctx.log.warn({ mission_id, agent_id, code, message }, 'checkpoints past their retention are kept for now')
  }
}

const retired = (ctx: Context, mission_id: string, agent_id: string, retention: Context['config']['retention']) =>
  toPrune(seatOf(ctx.book.get(mission_id), agent_id).checkpoints, retention, ctx.clock.now())

/** The ledger forgets one first, the disk follows: what a crash leaves between is swept. */
async function prune(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  retention: Context['config']['retention'],
): Promise<PruneReport> {
  const { checkpoints } = seatOf(ctx.book.get(mission_id), agent_id)
  const pruned: string[] = []
  let freed_bytes = 0
  for (const { checkpoint_id, why } of retired(ctx, mission_id, agent_id, retention)) {
    const checkpoint = checkpoints.find((candidate) => candidate.checkpoint_id === checkpoint_id)!
    const after = await ctx.book.commit(mission_id, (now) => checkpointPruned(now, agent_id, checkpoint_id, why))
    const rest = seatOf(after, agent_id).checkpoints
    if (rest.some((listed) => listed.checkpoint_id === checkpoint_id)) continue // it is needed
    pruned.push(checkpoint_id)
    const isGone = await removeFiles(ctx, checkpoint)
    if (isGone && !rest.some(({ sha256 }) => sha256 === checkpoint.sha256)) freed_bytes += checkpoint.bytes
  }
  return { pruned, kept: checkpoints.length - pruned.length, freed_bytes }
}

/** Removes one by hand, also the newest. */
export async function removeCheckpoint(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  checkpoint_id: string,
): Promise<Checkpoint> {
  return ctx.seatQueue.run(seatKey(mission_id, agent_id), async () => {
    const checkpoint = checkpointOf(ctx.book.get(mission_id), agent_id, checkpoint_id)
    await ctx.book.commit(mission_id, (now) => checkpointPruned(now, agent_id, checkpoint_id, 'removed by hand'))
    await removeFiles(ctx, checkpoint)
    return checkpoint
  })
}

/** Of one that the ledger lists no more: what cannot be removed now is swept at the next start. */
async function removeFiles(ctx: Context, checkpoint: Checkpoint): Promise<boolean> {
  try {
    ctx.faults?.('remove_checkpoint')
    await ctx.checkpoints.remove(checkpoint)
    return true
  } catch (error) {
    const { mission_id, agent_id, checkpoint_id } = checkpoint
    const { code, message } = asLazarusError(error)
    ctx.log.warn({ mission_id, agent_id, checkpoint_id, code, message }, 'files of a checkpoint lie on the disk still')
    return false
  }
}
