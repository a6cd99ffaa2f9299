import type { MissionState } from '../domain/mission.ts'
import { epochOf } from '../kernel/clock.ts'
import { asLazarusError } from '../kernel/errors.ts'
import { takeCheckpoint } from './checkpoint-seat.ts'
import { type Context, seatKey } from './context.ts'
import { failMission } from './mission-status.ts'

const LOOK_EVERY_MS = 1000

/**
 * A mission that has lived for its `timeout` fails: a last checkpoint of every seat that lives, then all of them end.
 * What is left of the time is counted on the monotonic clock; the wall clock is asked once, when the pit first sees it.
 */
export function startMissionTimeouts(ctx: Context): Disposable {
  const ends = new Map<string, number>()
  const look = () => {
    const now = ctx.clock.monotonic()
    for (const state of ctx.book.all()) {
      const { mission_id } = state
      if (state.status !== 'active' && state.status !== 'paused') ends.delete(mission_id)
      else if (!ends.has(mission_id)) ends.set(mission_id, now + leftMs(state, ctx.clock.now()))
      else if (ends.get(mission_id)! <= now) {
        ends.set(mission_id, now + 60_000) // tried again when it does not work out
        void end(ctx, state)
      }
    }
  }
  const timer = setInterval(look, LOOK_EVERY_MS).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** Never more than the whole, should the clock have been set back. */
function leftMs({ created_at, timeout }: MissionState, now_ms: number): number {
  const whole = timeout * 1000
  return Math.min(Math.max(0, epochOf(created_at) + whole - now_ms), whole)
}

async function end(ctx: Context, { mission_id, timeout, seats }: MissionState): Promise<void> {
  try {
    for (const { agent_id, status } of seats.values()) {
      if (status === 'active' || status === 'paused') await lastCheckpoint(ctx, mission_id, agent_id)
    }
    await failMission(ctx, mission_id, `Its timeout of ${timeout} s is over`)
  } catch (error) {
    const { code, message } = asLazarusError(error)
    ctx.log.error({ mission_id, code, message }, 'a mission whose time is over could not be ended')
  }
}

async function lastCheckpoint(ctx: Context, mission_id: string, agent_id: string): Promise<void> {
  try {
    await ctx.seatQueue.run(seatKey(mission_id, agent_id), () =>
      takeCheckpoint(ctx, mission_id, agent_id, { reason: 'mission timeout', unchanged: 'skip' }),
    )
  } catch (error) {
    const { code, message } = asLazarusError(error)
    ctx.log.warn(
      { mission_id, agent_id, code, message },
      'no checkpoint was taken when the time of the mission was over',
    )
  }
}
