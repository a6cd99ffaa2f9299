import type { SandboxName } from '../contract/ids.ts'
import { decideEnd } from '../domain/decide-seat.ts'
import { seatOf } from '../domain/mission.ts'
import { type Context, driverFor, seatKey } from './context.ts'
import type { Watch } from './health-watch.ts'

/**
 * Ends an agent that hangs, because the policy of its mission says so: first the reason becomes durable, then the
 * signal goes out; the exit that follows has the cause `hung`. Judged again when it is its turn: an agent that spoke
 * while other work on its seat was done lives.
 */
export async function endHung(
  ctx: Context,
  watch: Watch,
  { mission_id, agent_id, generation }: SandboxName,
): Promise<void> {
  await ctx.seatQueue.run(seatKey(mission_id, agent_id), async () => {
    const now = ctx.clock.monotonic()
    if (watch.place?.generation !== generation || !watch.isHung(now)) return
    const end = { cause: 'hung', why: watch.describeHang(now) } as const
    const state = await ctx.book.commit(mission_id, (mission) => decideEnd(mission, agent_id, generation, end), 'begun')
    const seat = seatOf(state, agent_id)
    if (seat.generation !== generation || seat.end_decided === null || !seat.handle) return
    ctx.log.warn({ mission_id, agent_id, generation, why: end.why }, 'an agent hangs and is killed, as the policy says')
    await driverFor(ctx, state.isolation_level).signal(seat.handle, 'SIGKILL')
  })
}
