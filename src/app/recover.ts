import type { SandboxHandle, SeatStatus } from '../contract/seat.ts'
import { checkpointFailed } from '../domain/checkpoints.ts'
import { isStarting, orphanReaped, seatExited } from '../domain/decide-seat.ts'
import { type MissionState, seatOf } from '../domain/mission.ts'
import { holdsLayer, type SeatState } from '../domain/seat.ts'
import { isoTime } from '../kernel/clock.ts'
import { asLazarusError } from '../kernel/errors.ts'
import { Slots } from '../kernel/queues.ts'
import type { CellDriver } from '../ports/cell-driver.ts'
import { type Context, driverFor, moment, sandboxName, seatKey } from './context.ts'
import { finishArchive, finishDestroy } from './end-mission.ts'
import { stopSeats } from './mission-status.ts'
import { releaseSeat } from './release-seat.ts'
import { finishRestore } from './restore-seat.ts'
import { spawn, unheldToken } from './spawn-seat.ts'
import { CLEARED, clearDead } from './watch-exits.ts'

/**
 * Boot: the ledger's last word against what the host shows. Adopts what lives, finishes what was begun. Every step may
 * be repeated, so a recovery that is killed is simply run again.
 */
export async function recover(ctx: Context): Promise<void> {
  const slots = new Slots(AT_ONCE)
  const whole = async (mission: MissionState) => {
    const seat = (seat: SeatState) => slots.run(() => guarded(ctx, mission, () => recoverSeat(ctx, mission, seat)))
    await Promise.all([...mission.seats.values()].map(seat))
    await slots.run(() => guarded(ctx, mission, () => recoverMission(ctx, mission)))
  }
  await Promise.all(ctx.book.all().map(whole))
}

/** Enough to hide waiting for a runtime, few enough not to starve the host. */
const AT_ONCE = 8
const SPAWN_TIMEOUT_MS = 120_000

/** One seat that cannot be recovered must not keep the others from it. */
async function guarded(ctx: Context, mission: MissionState, task: () => Promise<unknown>): Promise<void> {
  try {
    await task()
  } catch (error) {
    ctx.log.error(
      { err: error, mission_id: mission.mission_id },
      'recovery of a mission is incomplete; it goes on at the next start',
    )
  }
}

async function recoverMission(ctx: Context, mission: MissionState): Promise<void> {
  if (mission.status === 'destroying') await finishDestroy(ctx, mission.mission_id)
  if (mission.status === 'archiving') await finishArchive(ctx, mission.mission_id)
  if (mission.status === 'completed' || mission.status === 'failed') await stopSeats(ctx, mission.mission_id)
}

async function recoverSeat(ctx: Context, mission: MissionState, seat: SeatState): Promise<void> {
  const { mission_id } = mission
  const { agent_id } = seat
  const inQueue = (task: typeof goOn) =>
    ctx.seatQueue.run(seatKey(mission_id, agent_id), () => task(ctx, mission_id, agent_id))
  await inQueue(recoverCheckpoints)
  switch (seat.status) {
    case 'requested':
    case 'spawning':
    case 'reviving':
      return inQueue(goOn)
    case 'active':
    case 'paused':
      await inQueue(adopt)
      return clearDead(ctx, mission_id, agent_id)
    case 'dead':
    case 'awaiting_approval':
    case 'quarantined':
    case 'released':
      return clearDead(ctx, mission_id, seat.agent_id)
    case 'withdrawing':
      await releaseSeat(ctx, mission_id, seat.agent_id, true)
      return
    case 'failed':
    case 'withdrawn':
      return
  }
}

/** Runs on what was begun, unless somebody who asked meanwhile has ended it. */
async function goOn(ctx: Context, mission_id: string, agent_id: string): Promise<void> {
  const state = ctx.book.get(mission_id)
  const seat = seatOf(state, agent_id)
  if (state.status === 'destroying' || state.status === 'archiving') return // the seat goes with its mission
  if (seat.restoring) await finishRestore(ctx, mission_id, agent_id, unheldToken(ctx), false)
  else if (isStarting(seat)) await spawn(ctx, state, seat, ctx.clock.monotonic(), AbortSignal.timeout(SPAWN_TIMEOUT_MS))
}

/** A checkpoint that was being taken is gone; one that the ledger lists is whole. */
async function recoverCheckpoints(ctx: Context, mission_id: string, agent_id: string): Promise<void> {
  const { status, seats } = ctx.book.get(mission_id)
  const seat = seats.get(agent_id)!
  if (!holdsLayer(seat) || status === 'destroyed' || status === 'archived') return
  const { checkpointing, checkpoints } = seat
  if (checkpointing) {
    await ctx.book.commit(mission_id, (now) => checkpointFailed(now, agent_id, checkpointing.sequence, INTERRUPTED))
  }
  await ctx.checkpoints.sweep({ mission_id, agent_id }, new Set(checkpoints.map(({ checkpoint_id }) => checkpoint_id)))
}

const INTERRUPTED = { code: 'interrupted', message: 'The pit ended while the checkpoint was taken' }

async function adopt(ctx: Context, mission_id: string, agent_id: string): Promise<void> {
  const { isolation_level, seats } = ctx.book.get(mission_id)
  const seat = seats.get(agent_id)!
  if (seat.status !== 'active' && seat.status !== 'paused') return
  const name = sandboxName(mission_id, seat)
  const driver = driverFor(ctx, isolation_level)
  const adoption = await driver.adopt(seat.handle!)
  if (adoption.state === 'running') {
    await ctx.door.open(name)
    // A pit that died between freeze and thaw of a checkpoint, or in the middle of a pause, left it the other way.
    if (driver.capabilities.freeze) await driver.signal(adoption.handle, seat.status === 'paused' ? 'freeze' : 'thaw')
    return
  }
  const at = isoTime(ctx.clock.now())
  const gone = {
    cause: 'runtime_gone',
    code: null,
    signal: null,
    died_at: at,
    noticed_at: at,
    noticed_by: 'recovery',
  } as const
  const exit = adoption.state === 'exited' ? adoption.exit : gone
  await ctx.book.commit(mission_id, (now) => seatExited(now, agent_id, seat.generation, exit, moment(ctx)))
}

/**
 * Comes after, and keeps nobody from being revived: a runtime may take seconds to answer. A level whose runtime is missing
 * or broken is no reason not to serve the others.
 */
export async function reapUnowned(ctx: Context): Promise<void> {
  const search = (driver: CellDriver) =>
    reap(ctx, driver).catch((error: unknown) => {
      const { code, message } = asLazarusError(error)
      ctx.log.warn(
        { level: driver.level, code, message },
        'a level could not be searched for sandboxes that no seat owns',
      )
    })
  await Promise.all([...ctx.drivers.values()].map(search))
}

/** Ends sandboxes of this state directory that no seat claims in their generation. */
async function reap(ctx: Context, driver: CellDriver): Promise<void> {
  for (const handle of await driver.list()) {
    if (isOwned(ctx, handle)) continue
    const { mission_id, agent_id, generation } = handle
    ctx.log.warn({ mission_id, agent_id, generation }, 'reaping a sandbox that no seat owns')
    await driver.destroy(handle)
    if (ctx.book.has(mission_id)) await ctx.book.commit(mission_id, (now) => orphanReaped(now, agent_id, generation))
  }
}

function isOwned(ctx: Context, handle: SandboxHandle): boolean {
  if (!ctx.book.has(handle.mission_id)) return false
  const seat = ctx.book.get(handle.mission_id).seats.get(handle.agent_id)
  if (seat === undefined || seat.generation !== handle.generation) return false
  // Who died has its sandbox cleared away by its handle; one that never came to have a handle is nobody's.
  return OWNERS.has(seat.status) || (CLEARED.has(seat.status) && seat.handle !== null)
}

const OWNERS: ReadonlySet<SeatStatus> = new Set(['spawning', 'reviving', 'active', 'paused', 'withdrawing'])
