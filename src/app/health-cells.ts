import { asLazarusError } from '../kernel/errors.ts'
import { raiseAlert } from './alerts.ts'
import type { Context } from './context.ts'

const LIVING: ReadonlySet<string | null> = new Set(['active', 'paused'])

/**
 * Reads the heartbeat files that upkeep writes, and those of other pits below the same path: a cell whose file is older
 * than its own `timeout` raises an alert, once until it is fresh again. At the start it tells which cells had no pit.
 */
export function watchCells(ctx: Context): Disposable {
  const stale = new Set<string>()
  let looking = look(ctx, stale)
  const timer = setInterval(() => {
    looking = looking.then(() => look(ctx, stale))
  }, ctx.config.timeout * 1000).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

async function look(ctx: Context, stale: Set<string>): Promise<void> {
  try {
    const known = new Set(ctx.book.all().map(({ mission_id }) => mission_id))
    const { cells } = await ctx.cells.scan(known, ctx.clock.now())
    for (const { cell_id, path, health, status, heartbeat_age_s } of cells) {
      if (health !== 'stale' || !LIVING.has(status)) stale.delete(cell_id)
      else if (!stale.has(cell_id)) {
        stale.add(cell_id)
        raiseAlert(ctx, { kind: 'cell_stale', cell_id, path, age_s: Math.round(heartbeat_age_s ?? 0) })
      }
    }
  } catch (error) {
    ctx.log.warn({ message: asLazarusError(error).message }, 'the cell directories could not be looked at')
  }
}
