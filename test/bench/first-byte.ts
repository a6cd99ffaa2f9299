import { type FSWatcher, statSync, watch } from 'node:fs'
import { dirname } from 'node:path'

/** Tells when a file that need not exist yet has its first byte. */
export class FirstByte implements Disposable {
  /** The moment, on the clock of `performance.now()`. Rejects after 60 seconds. */
  readonly seen: Promise<number>
  readonly #watcher: FSWatcher
  readonly #timer: NodeJS.Timeout

  constructor(path: string) {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    this.seen = promise
    this.seen.catch(() => {}) // Awaited only when the request before it succeeded.
    const look = () => {
      if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0) resolve(performance.now())
    }
    this.#watcher = watch(dirname(path), look)
    this.#watcher.on('error', reject)
    this.#timer = setTimeout(() => reject(new Error(`${path} stayed empty for 60 s`)), 60_000)
  }

  [Symbol.dispose](): void {
    this.#watcher.close()
    clearTimeout(this.#timer)
  }
}
