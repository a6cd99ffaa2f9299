import type { Context } from './context.ts'
import { watchCells } from './health-cells.ts'
import { watchHealth } from './health-ticks.ts'
import { pollGateways } from './poll-gateways.ts'

/** Everything about health that goes by the clock. */
export function startHealth(ctx: Context): Disposable {
  const started = [watchHealth(ctx), pollGateways(ctx), watchCells(ctx)]
  return {
    [Symbol.dispose]() {
      for (const each of started) each[Symbol.dispose]()
    },
  }
}
