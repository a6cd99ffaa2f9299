import { type MissionState, seatOf } from '../domain/mission.ts'
import { holdsLayer, type SeatState } from '../domain/seat.ts'
import { asLazarusError } from '../kernel/errors.ts'
import { takeCheckpoint } from './checkpoint-seat.ts'
import { type Context, seatKey } from './context.ts'
import { layerOf } from './executors.ts'

/** Longest between two looks at the clock: a suspended machine, or a seat that is new, waits no longer than this. */
const LOOK_EVERY_MS = 1000
/** Seats that are checkpointed by the clock at the same time. */
const AT_ONCE = 2

/**
 * A checkpoint of every living seat each `checkpoint_interval`, when something changed. The monotonic clock counts: one
 * that is set ahead brings no flood. Seats that are due wait for their turn, the longest overdue first.
 */
export function startAutoCheckpoints(ctx: Context): Disposable {
  const last = new Map<string, number>()
  const busy = new Set<string>()
  const look = () => {
    const now = ctx.clock.monotonic()
    const seats = ctx.book.all().flatMap(livingSeats)
    const keys = new Set(seats.map(([state, seat]) => keyOf(state, seat)))
    for (const key of last.keys()) if (!keys.has(key)) last.delete(key)
    const due: { key: string; over: number; mission_id: string; agent_id: string }[] = []
    for (const [state, seat] of seats) {
      const key = keyOf(state, seat)
      const since = last.get(key)
      if (since === undefined) last.set(key, now)
      else if (now - since >= state.policies.checkpoint_interval * 1000 && !busy.has(key))
        due.push({ key, over: now - since, mission_id: state.mission_id, agent_id: seat.agent_id })
    }
    for (const { key, mission_id, agent_id } of due.toSorted((a, b) => b.over - a.over)) {
      if (busy.size >= AT_ONCE) return
      busy.add(key)
      void checkpoint(ctx, mission_id, agent_id).finally(() => {
        busy.delete(key)
        last.set(key, ctx.clock.monotonic())
      })
    }
  }
  const timer = setInterval(look, LOOK_EVERY_MS).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

const keyOf = (state: MissionState, { agent_id }: SeatState): string => seatKey(state.mission_id, agent_id)

/** A paused mission does nothing, so nothing changes. */
const livingSeats = (state: MissionState): [MissionState, SeatState][] =>
  state.status === 'active'
    ? [...state.seats.values()]
        .filter((seat) => seat.status === 'active' && holdsLayer(seat))
        .map((seat) => [state, seat])
    : []

/** Asked first, so that an idle seat leaves no trace in the ledger. */
async function isKept(ctx: Context, state: MissionState, seat: SeatState): Promise<boolean> {
  const newest = seat.checkpoints.at(-1)
  return newest !== undefined && ctx.checkpoints.isCurrent(layerOf(state, seat), newest, AbortSignal.timeout(60_000))
}

async function checkpoint(ctx: Context, mission_id: string, agent_id: string): Promise<void> {
  try {
    await ctx.seatQueue.run(seatKey(mission_id, agent_id), async () => {
      const state = ctx.book.get(mission_id)
      const seat = seatOf(state, agent_id)
      if (state.status !== 'active' || seat.status !== 'active' || (await isKept(ctx, state, seat))) return
      await takeCheckpoint(ctx, mission_id, agent_id, { reason: 'interval', unchanged: 'skip' })
    })
  } catch (error) {
    const { code, message } = asLazarusError(error)
    ctx.log.warn({ mission_id, agent_id, code, message }, 'the checkpoint by the clock failed')
  }
}
