import type { ServerResponse } from 'node:http'

/** The calls under way: each aborts when its client leaves, all of them when the server closes. */
export class OpenCalls {
  readonly #open = new Set<AbortController>()
  #reason: Error | undefined

  begin(raw: ServerResponse): AbortSignal {
    const call = new AbortController()
    this.#open.add(call)
    raw.once('close', () => {
      this.#open.delete(call)
      call.abort()
    })
    if (this.#reason || raw.destroyed) call.abort(this.#reason)
    return call.signal
  }

  /** Why the calls were ended, once they were. */
  get reason(): Error | undefined {
    return this.#reason
  }

  end(reason: Error): void {
    this.#reason = reason
    for (const call of this.#open) call.abort(reason)
  }
}
