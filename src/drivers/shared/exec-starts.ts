import { LazarusError } from '../../kernel/errors.ts'
import { untilReleased } from './hold.ts'

const WITHIN_MS = 5_000

/**
 * Keeps freezing and the start of execs apart: one that starts in a frozen sandbox fails or runs all the same, and one
 * that is starting has no process yet that could be frozen.
 */
export class ExecStarts {
  readonly #frozen = new Map<string, PromiseWithResolvers<void>>()
  readonly #starting = new Map<string, Set<Promise<unknown>>>()

  readonly #tracked = new Map<string, Set<() => Promise<void>>>()

  /** Runs `start` when the sandbox is not frozen, or has been thawed. null: aborted before. */
  async run<T>(key: string, abort: AbortSignal, start: () => Promise<T>): Promise<T | null> {
    while (this.#frozen.has(key) && !abort.aborted)
      await untilReleased(this.#frozen.get(key)!.promise, abort).catch(() => {})
    if (abort.aborted) return null
    const starting = this.#starting.get(key) ?? new Set()
    this.#starting.set(key, starting)
    const started = start()
    starting.add(started)
    try {
      return await started
    } finally {
      starting.delete(started)
      if (starting.size === 0) this.#starting.delete(key)
    }
  }

  /** For execs that count as started before they have a process: `inside` resolves when it has one, and is asked only by `hold`. */
  track(key: string, inside: () => Promise<void>): Disposable {
    const tracked = this.#tracked.get(key) ?? new Set()
    this.#tracked.set(key, tracked.add(inside))
    return {
      [Symbol.dispose]: () => {
        tracked.delete(inside)
        if (tracked.size === 0) this.#tracked.delete(key)
      },
    }
  }

  /** From now on none starts; resolves when none is starting any more. */
  async hold(key: string): Promise<void> {
    if (!this.#frozen.has(key)) this.#frozen.set(key, Promise.withResolvers())
    if (!this.#starting.has(key) && !this.#tracked.has(key)) return
    await untilReleased(this.#started(key), AbortSignal.timeout(WITHIN_MS)).catch(late)
  }

  async #started(key: string): Promise<void> {
    await Promise.allSettled(this.#starting.get(key) ?? [])
    await Promise.allSettled([...(this.#tracked.get(key) ?? [])].map((inside) => inside()))
  }

  /** Lets those go that wait. */
  release(key: string): void {
    this.#frozen.get(key)?.resolve()
    this.#frozen.delete(key)
  }
}

function late(): never {
  throw new LazarusError(
    'runtime_failed',
    `The sandbox could not be frozen: an exec did not start within ${WITHIN_MS} ms`,
  )
}
