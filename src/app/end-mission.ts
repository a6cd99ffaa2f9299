import type { DestroyReport, HomesProof, Mission } from '../contract/mission.ts'
import { archived, commitsSaved, destroyed, startArchive, startDestroy } from '../domain/decide-mission.ts'
import type { MissionState } from '../domain/mission.ts'
import { seatsToRelease } from '../domain/plan.ts'
import { missionView } from '../domain/views.ts'
import { LazarusError } from '../kernel/errors.ts'
import { type Context, driverFor, seatKey } from './context.ts'
import { addReleased } from './executors.ts'
import { releaseSeat } from './release-seat.ts'
import { requireCollected } from './seat-work.ts'

/** Seats that end at the same time: enough to hide waiting, few enough not to starve the rest of the host. */
const AT_ONCE = 8
const NO_LIMIT = new AbortController().signal

export async function destroyMission(ctx: Context, mission_id: string, force: boolean): Promise<DestroyReport> {
  const state = ctx.book.get(mission_id)
  if (state.report) return state.report
  if (state.status !== 'destroying') {
    if (!force) await requireCollected(ctx, state, seatsToRelease(state), NO_LIMIT)
    const seal = await ctx.homes.seal({ content: false }, NO_LIMIT)
    const after = await ctx.book.commit(mission_id, (now) => startDestroy(now, force, seal.seal_id))
    if (after.destroy?.seal_id !== seal.seal_id) await ctx.homes.discard(seal.seal_id)
  }
  return finishDestroy(ctx, mission_id)
}

/** Runs, or runs on, a destroy whose intent is durable. Two callers share one run. */
export async function finishDestroy(ctx: Context, mission_id: string): Promise<DestroyReport> {
  return ctx.seatQueue.run(seatKey(mission_id, ''), async () => {
    const begun = ctx.book.get(mission_id)
    if (begun.report) return begun.report
    await releaseSeats(ctx, begun)
    const kept = await ctx.workspace.closeMission(mission_id, begun.base, { repository: false })
    if (kept) await ctx.book.commit(mission_id, (now) => commitsSaved(now, kept))
    ctx.faults?.('remove_directory')
    await ctx.cells.remove(mission_id)
    const homes = await proveHomes(ctx, begun.destroy?.seal_id ?? null)
    const after = await ctx.book.commit(mission_id, (now) => destroyed(now, { ...harvest(now), homes }))
    if (begun.destroy?.seal_id) await ctx.homes.discard(begun.destroy.seal_id)
    return after.report!
  })
}

async function releaseSeats(ctx: Context, state: MissionState): Promise<void> {
  const waiting = [...seatsToRelease(state)]
  const worker = async () => {
    for (let seat = waiting.shift(); seat; seat = waiting.shift())
      await releaseSeat(ctx, state.mission_id, seat.agent_id, true)
  }
  const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker))
  const failed = ends.find((end) => end.status === 'rejected')
  if (failed) throw failed.reason
  // What could no longer run may still be on its way out: a list waits for it.
  await driverFor(ctx, state.isolation_level).list()
}

function harvest(state: MissionState): Pick<DestroyReport, 'final_checkpoints' | 'released'> {
  const seats = [...state.seats.values()]
  return {
    final_checkpoints: seats.flatMap((seat) => seat.final_checkpoint ?? []),
    released: seats.reduce(
      (sum, seat) => addReleased(sum, seat.released ?? { processes: 0, containers: 0, mounts: 0 }),
      {
        processes: 0,
        containers: 0,
        mounts: 0,
      },
    ),
  }
}

async function proveHomes(ctx: Context, seal_id: string | null): Promise<HomesProof> {
  const homes = await ctx.homes.registered()
  if (seal_id === null) return { checked: 0, entries: 0, unreadable: 0, changed: [] }
  const { entries, unreadable, changed } = await ctx.homes.verify(seal_id, NO_LIMIT)
  return { checked: homes.length, entries, unreadable, changed }
}

/** Keeps a portable record (views, events, logs, artifacts, the trusted repository) and releases everything else. */
export async function archiveMission(ctx: Context, mission_id: string, abort: AbortSignal): Promise<Mission> {
  const state = ctx.book.get(mission_id)
  if (state.status === 'archived') return missionView(state)
  startArchive(state)
  if (state.status !== 'archiving') await requireCollected(ctx, state, seatsToRelease(state), abort)
  await ctx.book.commit(mission_id, startArchive)
  return finishArchive(ctx, mission_id)
}

export async function finishArchive(ctx: Context, mission_id: string): Promise<Mission> {
  return ctx.seatQueue.run(seatKey(mission_id, ''), async () => {
    const begun = ctx.book.get(mission_id)
    if (begun.status === 'archived') return missionView(begun)
    if (begun.status !== 'archiving') throw new LazarusError('conflict', `Mission ${mission_id} is ${begun.status}`)
    await releaseSeats(ctx, begun)
    await ctx.workspace.closeMission(mission_id, begun.base, { repository: true })
    const record = await ctx.cells.reduceToRecord(ctx.book.get(mission_id))
    return missionView(await ctx.book.commit(mission_id, (now) => archived(now, record)))
  })
}
