import type { SeatStatus } from '../contract/seat.ts'
import { isStarting, seatExited } from '../domain/decide-seat.ts'
import { type MissionState, seatOf } from '../domain/mission.ts'
import { stopPlan } from '../domain/plan.ts'
import { asLazarusError } from '../kernel/errors.ts'
import type { ExitNotice } from '../ports/cell-driver.ts'
import { type Context, moment, seatKey } from './context.ts'
import { runPlan, workOn } from './executors.ts'
import { completeMission } from './mission-status.ts'

/** Turns each death that a driver tells into a fact, then clears away what is left of the sandbox. */
export function watchExits(ctx: Context): Disposable {
  const watches = [...ctx.drivers.values()].map((driver) => driver.exits((notice) => void onExit(ctx, notice)))
  return {
    [Symbol.dispose]: () => {
      for (const watch of watches) watch[Symbol.dispose]()
    },
  }
}

async function onExit(ctx: Context, { name, exit }: ExitNotice): Promise<void> {
  const { mission_id, agent_id, generation } = name
  try {
    if (!ctx.book.has(mission_id)) return
    await started(ctx, mission_id, agent_id, generation)
    const decide = (now: MissionState) => seatExited(now, agent_id, generation, exit, moment(ctx))
    const state = await ctx.book.commit(mission_id, decide, 'begun')
    if (state.status === 'completed') await completeMission(ctx, mission_id) // the policy said so: the others end too
    await clearDead(ctx, mission_id, agent_id)
  } catch (error) {
    const { code, message } = asLazarusError(error)
    ctx.log.error({ mission_id, agent_id, generation, code, message }, 'a death could not be recorded')
  }
}

/** A sandbox may end before its start is recorded: who starts it holds the queue of the seat, and comes first. */
async function started(ctx: Context, mission_id: string, agent_id: string, generation: number): Promise<void> {
  const seat = ctx.book.get(mission_id).seats.get(agent_id)
  if (seat?.generation === generation && isStarting(seat)) {
    await ctx.seatQueue.run(seatKey(mission_id, agent_id), async () => {})
  }
}

/** Nothing of the sandbox is needed in these states. */
export const CLEARED: ReadonlySet<SeatStatus> = new Set(['dead', 'awaiting_approval', 'quarantined', 'released'])

/** The exit is durable, so the records of the sandbox may go; its log and its layer stay. */
export async function clearDead(ctx: Context, mission_id: string, agent_id: string): Promise<void> {
  await ctx.seatQueue.run(seatKey(mission_id, agent_id), async () => {
    const state = ctx.book.get(mission_id)
    const seat = seatOf(state, agent_id)
    if (!CLEARED.has(seat.status) || !seat.handle) return
    await runPlan(ctx, stopPlan(), workOn(state, seat, AbortSignal.timeout(60_000)))
  })
}
