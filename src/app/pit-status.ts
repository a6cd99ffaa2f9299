import type { PitStatus } from '../contract/pit.ts'
import { isoTime } from '../kernel/clock.ts'
import type { Context } from './context.ts'
import { listRevivals } from './revivals.ts'

/** Out of memory alone: it answers while levels are probed, while the disk is full, while seats are busy. */
export function pitStatus(ctx: Context): PitStatus {
  const self = ctx.self()
  const { recovered, last_sweep_ms } = ctx.milestones
  const missions = ctx.book.all().filter(({ status }) => status !== 'destroyed' && status !== 'archived')
  const seats = missions.flatMap((mission) => [...mission.seats.values()].map(({ status }) => status))
  const queued = listRevivals(ctx)
  return {
    status: 'ok',
    ...self,
    uptime_s: Math.max(0, (ctx.clock.now() - Date.parse(self.started_at)) / 1000),
    recovered,
    missions: tally(missions.map(({ status }) => status)),
    seats: tally(seats.filter((status) => status !== 'withdrawn')),
    agents: tally(Object.values(ctx.health.report().agents).map(({ status }) => status)),
    revivals: {
      waiting: queued.length,
      awaiting_approval: queued.filter(({ approval }) => approval === 'needed').length,
    },
    last_sweep: last_sweep_ms === null ? null : isoTime(last_sweep_ms),
    levels: ctx.probe.known().map(({ level, status, reason }) => ({ level, status, reason })),
  }
}

const tally = (names: readonly string[]): Record<string, number> =>
  Object.fromEntries(Object.entries(Object.groupBy(names, String)).map(([name, some = []]) => [name, some.length]))
