import type { WithdrawReport } from '../contract/mission.ts'
import { seatWithdrawn, startWithdraw } from '../domain/decide-seat.ts'
import { type MissionState, seatOf } from '../domain/mission.ts'
import { withdrawPlan } from '../domain/plan.ts'
import { seatView } from '../domain/views.ts'
import { LazarusError } from '../kernel/errors.ts'
import { type Context, seatKey } from './context.ts'
import { runPlan, workOn } from './executors.ts'
import { requireCollected } from './seat-work.ts'

/** Longest that ending, saving and deleting one seat may take. */
const RELEASE_TIMEOUT_MS = 30 * 60_000

export async function withdrawSeat(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  force: boolean,
): Promise<WithdrawReport> {
  const state = ctx.book.get(mission_id)
  const seat = seatOf(state, agent_id)
  if (state.status === 'destroying' || state.status === 'destroyed') {
    throw new LazarusError('conflict', `Mission ${mission_id} is ${state.status}: its seats go with it`)
  }
  if (!force && seat.status !== 'withdrawn')
    await requireCollected(ctx, state, [seat], AbortSignal.timeout(RELEASE_TIMEOUT_MS))
  const after = await releaseSeat(ctx, mission_id, agent_id, force)
  const gone = seatOf(after, agent_id)
  return {
    seat: seatView(after, gone),
    final_checkpoint: gone.final_checkpoint,
    released: gone.released ?? { processes: 0, containers: 0, mounts: 0 },
  }
}

/** Ends the sandbox, saves what is in the layer, removes every trace. Finishes what an earlier attempt began. */
export async function releaseSeat(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  force: boolean,
): Promise<MissionState> {
  return ctx.seatQueue.run(seatKey(mission_id, agent_id), async () => {
    const state = await ctx.book.commit(mission_id, (now) => startWithdraw(now, agent_id, force))
    const seat = seatOf(state, agent_id)
    if (seat.status === 'withdrawn') return state
    const work = workOn(state, seat, AbortSignal.timeout(RELEASE_TIMEOUT_MS))
    await runPlan(ctx, withdrawPlan(seat), work)
    return ctx.book.commit(mission_id, (now) => seatWithdrawn(now, agent_id, work.released))
  })
}
