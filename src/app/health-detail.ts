import type { AgentDetail } from '../contract/health.ts'
import type { Principal } from './application.ts'
import type { Context } from './context.ts'

/** One agent, with when it last wrote anything: that is asked of the files of its output, not of the agent. */
export async function agentDetail(ctx: Context, by: Principal, agent_id: string): Promise<AgentDetail> {
  const seats = ctx.health.seatsOf(by, agent_id)
  const outputs = new Map<string, number | null>()
  for (const { mission_id } of seats) {
    outputs.set(mission_id, await ctx.seatLogs.wroteAt(ctx.cells.logPath(mission_id, agent_id)))
  }
  return ctx.health.agent(by, agent_id, ({ mission_id }) => outputs.get(mission_id) ?? null)
}
