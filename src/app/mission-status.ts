import type { Mission } from '../contract/mission.ts'
import { complete, fail, pause, resume } from '../domain/decide-mission.ts'
import { seatExited } from '../domain/decide-seat.ts'
import type { MissionState } from '../domain/mission.ts'
import { stopPlan } from '../domain/plan.ts'
import type { SeatState } from '../domain/seat.ts'
import { missionView } from '../domain/views.ts'
import { isoTime } from '../kernel/clock.ts'
import { type Context, driverFor, moment, seatKey } from './context.ts'
import { runPlan, workOn } from './executors.ts'

export async function pauseMission(ctx: Context, mission_id: string): Promise<Mission> {
  const state = await ctx.book.commit(mission_id, pause)
  await toEverySeat(ctx, state, 'paused', 'freeze')
  return missionView(ctx.book.get(mission_id))
}

export async function resumeMission(ctx: Context, mission_id: string): Promise<Mission> {
  const state = await ctx.book.commit(mission_id, resume)
  await toEverySeat(ctx, state, 'active', 'thaw')
  return missionView(ctx.book.get(mission_id))
}

async function toEverySeat(
  ctx: Context,
  state: MissionState,
  status: SeatState['status'],
  verb: 'freeze' | 'thaw',
): Promise<void> {
  const driver = driverFor(ctx, state.isolation_level)
  if (!driver.capabilities.freeze) return
  const seats = [...state.seats.values()].filter((seat) => seat.status === status && seat.handle)
  await Promise.all(seats.map((seat) => driver.signal(seat.handle!, verb)))
}

/** The sandboxes end, the layers stay: work can still be collected, then archived or destroyed. */
export async function completeMission(ctx: Context, mission_id: string): Promise<Mission> {
  await ctx.book.commit(mission_id, complete)
  await stopSeats(ctx, mission_id)
  return missionView(ctx.book.get(mission_id))
}

/** The same for one that cannot be done. */
export async function failMission(ctx: Context, mission_id: string, reason: string): Promise<Mission> {
  await ctx.book.commit(mission_id, (now) => fail(now, reason))
  await stopSeats(ctx, mission_id)
  return missionView(ctx.book.get(mission_id))
}

/** Of a mission that is over; also what a pit left that died meanwhile. */
export async function stopSeats(ctx: Context, mission_id: string): Promise<void> {
  const { seats, status } = ctx.book.get(mission_id)
  for (const { agent_id } of seats.values()) await stopSeat(ctx, mission_id, agent_id, `mission_${status}`)
}

async function stopSeat(ctx: Context, mission_id: string, agent_id: string, noticed_by: string): Promise<void> {
  await ctx.seatQueue.run(seatKey(mission_id, agent_id), async () => {
    const state = ctx.book.get(mission_id)
    const seat = state.seats.get(agent_id)
    if (!seat || (seat.status !== 'active' && seat.status !== 'paused')) return
    await runPlan(ctx, stopPlan(), workOn(state, seat, AbortSignal.timeout(60_000)))
    const at = isoTime(ctx.clock.now())
    const exit = {
      cause: 'signal',
      code: 137,
      signal: 'SIGKILL',
      died_at: at,
      noticed_at: at,
      noticed_by,
    } as const
    await ctx.book.commit(mission_id, (now) => seatExited(now, agent_id, seat.generation, exit, moment(ctx)))
  })
}
