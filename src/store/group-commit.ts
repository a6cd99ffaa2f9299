export type Outcome<Result> =
  | { readonly ok: true; readonly result: Result }
  | { readonly ok: false; readonly error: unknown }

interface Pending<Request, Result> {
  readonly request: Request
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

/** Bounds how long one commit keeps the event loop: a thousand small inserts take some 7 ms. */
const MAX_BATCH = 1000

/**
 * Gathers what is asked for while the event loop drains and hands it on as one batch, in order. `commit` is
 * synchronous and gives one outcome per request, in order; a request is answered after its batch is committed.
 */
export class GroupCommit<Request, Result> {
  readonly #commit: (requests: readonly Request[]) => readonly Outcome<Result>[]
  #queue: Pending<Request, Result>[] = []
  #scheduled = false

  constructor(commit: (requests: readonly Request[]) => readonly Outcome<Result>[]) {
    this.#commit = commit
  }

  submit(request: Request): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ request, resolve, reject })
      this.#schedule()
    })
  }

  /** Commits now whatever is queued. */
  drain(): void {
    while (this.#queue.length > 0) this.#flush()
  }

  #schedule(): void {
    if (this.#scheduled || this.#queue.length === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
      this.#schedule()
    })
  }

  #flush(): void {
    const batch = this.#queue.splice(0, MAX_BATCH)
    if (batch.length === 0) return
    const outcomes = this.#commit(batch.map((pending) => pending.request))
    batch.forEach((pending, i) => {
      const outcome = outcomes[i]!
      if (outcome.ok) pending.resolve(outcome.result)
      else pending.reject(outcome.error)
    })
  }
}
