import { asLazarusError } from '../kernel/errors.ts'
import type { Context } from './context.ts'
import { endHung } from './health-hung.ts'
import type { Watch } from './health-watch.ts'

/** Silence is looked at so often, and more often only where the timeout itself is short. */
const LONGEST_TICK_MS = 1000
const SHORTEST_TICK_MS = 50
/** A tick that comes so late means that the pit itself did not run, and may not have heard what was said. */
const LATE_MS = 1000
const WEEK_MS = 7 * 24 * 60 * 60_000

/** Looks by the monotonic clock who has been silent for too long. A clock that jumps or a machine that slept judges nobody. */
export function watchHealth(ctx: Context): Disposable {
  const tick_ms = Math.min(LONGEST_TICK_MS, Math.max(SHORTEST_TICK_MS, (ctx.config.timeout * 1000) / 4))
  const ending = new Set<Watch>()
  let last = ctx.clock.monotonic()
  const timer = setInterval(() => {
    const now = ctx.clock.monotonic()
    const late = now - last > tick_ms + LATE_MS
    last = now
    for (const watch of ctx.health.watches()) {
      if (late) watch.startAnew(now)
      else judge(ctx, watch, now, ending)
    }
  }, tick_ms).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** `ending`: those whose end waits for its turn. */
function judge(ctx: Context, watch: Watch, now: number, ending: Set<Watch>): void {
  const { agent_id, mission_id } = watch.vitals
  if (isForgotten(ctx, watch)) return void ctx.health.forget(watch)
  if (watch.isOverdue(now)) void countSilence(ctx, watch)
  if (mission_id === null || watch.place === null || ending.has(watch) || !watch.isHung(now)) return
  ending.add(watch)
  endHung(ctx, watch, { mission_id, agent_id, generation: watch.place.generation })
    .catch((error: unknown) => {
      const { code, message } = asLazarusError(error)
      ctx.log.error({ mission_id, agent_id, code, message }, 'an agent that hangs could not be ended')
    })
    .finally(() => ending.delete(watch))
}

/** An agent that never sent heartbeats is heard when it writes. */
async function countSilence(ctx: Context, watch: Watch): Promise<void> {
  const { agent_id, mission_id } = watch.vitals
  if (mission_id !== null && !watch.spoke) {
    const output = await ctx.seatLogs.wroteAt(ctx.cells.logPath(mission_id, agent_id))
    if (!watch.isOverdue(ctx.clock.monotonic())) return
    const isNew = output !== null && output !== watch.output
    watch.output = output
    if (isNew && watch.place?.standing === 'running') return ctx.health.heard(watch)
  }
  ctx.health.silent(watch)
}

/** Whom open registration let in, and who has not been heard of since. */
const isForgotten = ({ config }: Context, { vitals, patience }: Watch): boolean =>
  vitals.mission_id === null && !(vitals.agent_id in config.gateways) && vitals.failures * patience > WEEK_MS
