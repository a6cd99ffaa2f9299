import type { Collection, LayerUsage, Seat } from '../contract/seat.ts'
import { collected } from '../domain/decide-seat.ts'
import { type MissionState, seatOf } from '../domain/mission.ts'
import { seatPolicy } from '../domain/policy.ts'
import { holdsLayer, type SeatState } from '../domain/seat.ts'
import { seatView } from '../domain/views.ts'
import { LazarusError } from '../kernel/errors.ts'
import { Slots } from '../kernel/queues.ts'
import { type Context, driverFor, seatKey } from './context.ts'
import { runningSeat } from './exec-command.ts'
import { layerOf } from './executors.ts'

/** Largest diff that is given out. */
const DIFF_LIMIT = 16 * 1024 * 1024

export async function collect(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  abort: AbortSignal,
): Promise<Collection> {
  return ctx.seatQueue.run(
    seatKey(mission_id, agent_id),
    async () => {
      const { state, seat } = seatWithWork(ctx, mission_id, agent_id)
      const collection = await ctx.workspace.collect(layerOf(state, seat), abort)
      const { head, outcome, commits } = collection
      if (head !== null)
        await ctx.book.commit(mission_id, (now) => collected(now, agent_id, head, outcome, commits.length))
      return collection
    },
    abort,
  )
}

export async function diff(ctx: Context, mission_id: string, agent_id: string, abort: AbortSignal) {
  const { state, seat } = seatWithWork(ctx, mission_id, agent_id)
  return ctx.workspace.diff(layerOf(state, seat), DIFF_LIMIT, abort)
}

export async function seatUsage(ctx: Context, mission_id: string, agent_id: string): Promise<LayerUsage> {
  const state = ctx.book.get(mission_id)
  const seat = seatOf(state, agent_id)
  const usage = await ctx.workspace.usage({ mission_id, agent_id })
  return { ...usage, limit: seatPolicy(state.policy, seat).limits.disk ?? null }
}

export async function killSeat(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  signal: NodeJS.Signals,
): Promise<Seat> {
  return ctx.seatQueue.run(seatKey(mission_id, agent_id), async () => {
    const state = ctx.book.get(mission_id)
    const seat = runningSeat(state, agent_id)
    await driverFor(ctx, state.isolation_level).signal(seat.handle!, signal)
    const now = ctx.book.get(mission_id)
    return seatView(now, seatOf(now, agent_id))
  })
}

function seatWithWork(ctx: Context, mission_id: string, agent_id: string): { state: MissionState; seat: SeatState } {
  const state = ctx.book.get(mission_id)
  const seat = seatOf(state, agent_id)
  if (holdsLayer(seat) && seat.status !== 'failed' && seat.role !== 'read') return { state, seat }
  throw new LazarusError(
    'conflict',
    `Seat "${agent_id}" of mission ${mission_id} (${seat.role}, ${seat.status}) has no layer to look into`,
    {
      remedy: 'Seats of role lead and write have one, until they are withdrawn.',
    },
  )
}

/** Seats of a mission that are looked into at the same time. */
const LOOKS_AT_ONCE = 4

/** Throws work_uncollected when one of the seats holds work that neither the trusted repository nor a checkpoint has. */
export async function requireCollected(
  ctx: Context,
  state: MissionState,
  seats: readonly SeatState[],
  abort: AbortSignal,
): Promise<void> {
  const held: Record<string, { commits: number; paths: readonly string[] }> = {}
  const asked = seats.filter((seat) => holdsLayer(seat) && seat.status !== 'failed' && seat.role !== 'read')
  const slots = new Slots(LOOKS_AT_ONCE)
  const look = async (seat: SeatState) => {
    const { commits, paths } = await ctx.workspace.uncollected(layerOf(state, seat), abort)
    if (commits === 0 && paths.length === 0) return
    const newest = seat.checkpoints.at(-1)
    if (newest && (await ctx.checkpoints.isCurrent(layerOf(state, seat), newest, abort))) return
    held[seat.agent_id] = { commits, paths: paths.slice(0, 20) }
  }
  await Promise.all(asked.map((seat) => slots.run(() => look(seat))))
  const names = Object.keys(held)
  if (names.length === 0) return
  throw new LazarusError(
    'work_uncollected',
    `Work that no ref and no checkpoint has is in the seats of: ${names.join(', ')}`,
    {
      details: { mission_id: state.mission_id, seats: held },
      remedy:
        'Commit and collect it (lazarus collect <mission> <agent>), or repeat with force: a last snapshot then goes to the trash.',
    },
  )
}
