import type { RecordedEvent } from '../contract/event.ts'
import type { EventLog, ReadOptions } from '../ports/event-log.ts'

/** Wakes whoever waits for new events. Carries no events: a reader takes them from the log, at its own pace. */
export class Arrivals {
  readonly #waiting = new Set<() => void>()
  #closed = false

  get closed(): boolean {
    return this.#closed
  }

  announce(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of waiting) wake()
  }

  close(): void {
    this.#closed = true
    this.announce()
  }

  /** Resolves at the next announcement or on abort, whichever is first. */
  next(abort: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed || abort.aborted) return resolve()
      const wake = () => {
        this.#waiting.delete(wake)
        abort.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      abort.addEventListener('abort', wake)
    })
  }
}

/**
 * Past events, then live ones, by position alone: `after` is the last event that was looked at, so there is no
 * seam between past and live where one could be lost or told twice, and a slow reader holds no memory.
 */
export async function* followLog(
  log: Pick<EventLog, 'read' | 'head'>,
  arrivals: Arrivals,
  options: ReadOptions,
  abort: AbortSignal,
): AsyncGenerator<RecordedEvent, void, undefined> {
  let after = options.after ?? 0
  let left = options.limit ?? Number.POSITIVE_INFINITY
  const ended = () => abort.aborted || arrivals.closed || left <= 0
  while (!ended()) {
    // The read below is bounded by the head of this moment: no await stands between the two.
    const head = log.head()
    for (const event of log.read({ ...options, after, limit: left })) {
      after = event.seq
      left -= 1
      yield event
      if (ended()) return
    }
    after = Math.max(after, head)
    if (log.head() === head) await arrivals.next(abort)
  }
}
