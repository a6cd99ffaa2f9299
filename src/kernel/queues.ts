/** One task at a time per key, in order of arrival. A task that waits can be aborted; one that runs sees its own signal. */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<void>>()

  async run<T>(key: string, task: () => Promise<T>, abort?: AbortSignal): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const done = Promise.withResolvers<void>()
    const tail = before.then(() => done.promise)
    this.#tails.set(key, tail)
    try {
      await turn(before, abort)
      return await task()
    } finally {
      done.resolve()
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
  }
}

async function turn(before: Promise<void>, abort: AbortSignal | undefined): Promise<void> {
  if (abort === undefined) return before
  abort.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(abort.reason)
  abort.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([before, aborted.promise])
  } finally {
    abort.removeEventListener('abort', onAbort)
  }
}

/** At most `count` at once; the others wait in order of arrival. */
export class Slots {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free += 1
    }
  }
}
