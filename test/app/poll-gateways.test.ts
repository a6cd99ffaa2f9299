import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Context } from '../../src/app/context.ts'
import { pollGateways } from '../../src/app/poll-gateways.ts'
import type { GatewayAnswer } from '../../src/ports/gateway.ts'
import { HealthStage } from './health-stage.ts'

/** The way of the calls: what is asked is held until the test answers. test/gateways has the real servers. */
class Held {
  readonly asked: { readonly url: string; readonly answer: (answer: GatewayAnswer) => void }[] = []
  #more = Promise.withResolvers<void>()

  ask = (url: string, abort: AbortSignal): Promise<GatewayAnswer> =>
    new Promise((resolve) => {
      abort.addEventListener('abort', () => resolve({ ok: false, error: 'aborted' }), { once: true })
      this.asked.push({ url, answer: resolve })
      this.#more.resolve()
      this.#more = Promise.withResolvers<void>()
    })

  async until(count: number): Promise<void> {
    while (this.asked.length < count) await this.#more.promise
  }
}

let gateway: Held
let stage: HealthStage
let polling: Disposable
beforeEach(() => {
  gateway = new Held()
})
afterEach(() => {
  polling[Symbol.dispose]()
  stage[Symbol.dispose]()
})

function raise(agents: number, poll_interval: number): void {
  const gateways = Object.fromEntries(
    Array.from({ length: agents }, (_, i) => [`agent-${i}`, `http://127.0.0.1:1/${i}`]),
  )
  stage = new HealthStage({ gateways, poll_interval })
  polling = pollGateways({ config: stage.config, health: stage.board, gateway } as unknown as Context)
}
const settled = () => new Promise((resolve) => setTimeout(resolve, 20))

test('at most eight are asked at a time, and one that hangs holds up no other', async () => {
  raise(20, 3600)
  await gateway.until(8)
  await settled()
  expect(gateway.asked).toHaveLength(8)
  for (let next = 1; next < 12; next++) {
    gateway.asked[next]!.answer({ ok: true, took_ms: 5 })
    await gateway.until(8 + next)
  }
  await settled()
  expect(gateway.asked.map(({ url }) => url)).toEqual(Array.from({ length: 19 }, (_, i) => `http://127.0.0.1:1/${i}`))
  const { agents } = stage.board.report()
  expect(agents['agent-1']).toMatchObject({ status: 'healthy', response_time: 0.005 })
  expect(agents['agent-0']).toMatchObject({ last_response: null, consecutive_failures: 0 })
})

test('one that fails is asked at the usual pace until it is unhealthy, then after longer and longer', async () => {
  raise(1, 0.02)
  const times: number[] = []
  for (let failures = 1; failures <= 6; failures++) {
    await gateway.until(failures)
    times.push(performance.now())
    gateway.asked.at(-1)!.answer({ ok: false, error: 'Answered 500' })
  }
  await settled()
  expect(stage.of('agent-0')).toMatchObject({ status: 'unhealthy', consecutive_failures: 6 })
  const waits = times.slice(1).map((time, i) => (time - times[i]!) / 20)
  // 1, 1, 2, 4, 8 intervals at least: a busy machine only makes them longer.
  for (const [i, least] of [1, 1, 2, 4, 8].entries()) expect(waits[i]).toBeGreaterThan(least * 0.9)
})

test('what is under way when the pit ends is no failure', async () => {
  raise(1, 3600)
  await gateway.until(1)
  polling[Symbol.dispose]()
  await settled()
  expect(stage.of('agent-0')).toMatchObject({ consecutive_failures: 0, error_message: null })
})
