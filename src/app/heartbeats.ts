import type { MissionStatus } from '../contract/mission.ts'
import type { Context } from './context.ts'

/** Whose cell directory is no more, or is a record. */
const GONE: ReadonlySet<MissionStatus> = new Set(['archiving', 'archived', 'destroying', 'destroyed'])

/** Writes `state/heartbeat.json` of every mission that has a cell directory each `poll_interval`, so that other watchers see the pit live. */
export class Heartbeats implements Disposable {
  readonly #ctx: Context
  readonly #timer: NodeJS.Timeout

  constructor(ctx: Context) {
    this.#ctx = ctx
    this.#timer = setInterval(() => void this.#beat(), ctx.config.poll_interval * 1000)
    this.#timer.unref()
  }

  async #beat(): Promise<void> {
    const { book, cells, clock, log } = this.#ctx
    for (const state of book.all()) {
      if (GONE.has(state.status)) continue
      try {
        await cells.heartbeat(state, clock.now())
      } catch (error) {
        log.warn({ err: error, mission_id: state.mission_id }, 'the heartbeat file could not be written')
      }
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
