import { setTimeout as sleep } from 'node:timers/promises'
import { pollAfter } from '../domain/health.ts'
import { Slots } from '../kernel/queues.ts'
import type { Context } from './context.ts'

/** Gateways that are asked at the same time. */
const AT_ONCE = 8

/** Asks every gateway of the configuration each `poll_interval`; one that fails is left in peace longer and longer. */
export function pollGateways(ctx: Context): Disposable {
  const stop = new AbortController()
  const slots = new Slots(AT_ONCE)
  for (const [agent_id, url] of Object.entries(ctx.config.gateways)) {
    void poll(ctx, slots, agent_id, url, stop.signal).catch(() => {})
  }
  return { [Symbol.dispose]: () => stop.abort() }
}

/** Until the abort, which ends the sleep by throwing. */
async function poll(ctx: Context, slots: Slots, agent_id: string, url: string, stop: AbortSignal): Promise<void> {
  for (;;) {
    const answer = await slots.run(() => ctx.gateway.ask(url, stop))
    stop.throwIfAborted()
    const { failures } = answer.ok
      ? ctx.health.gatewayAnswered(agent_id, answer.took_ms)
      : ctx.health.gatewayFailed(agent_id, answer.error)
    await sleep(pollAfter(ctx.config.poll_interval * 1000, failures), undefined, { signal: stop, ref: false })
  }
}
