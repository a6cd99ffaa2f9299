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
/** Bounds how long a batch waits for those who still come in: each turn of the event loop takes in all that is there. */
const MAX_TURNS = 8

/**
 * Gathers what is asked for until a turn of the event loop brings no more, and hands it on as one batch, in order: an
 * fsync costs more than a few turns. `commit` is synchronous and gives one outcome per request, in order; a request is
 * answered after its batch is committed.
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
    this.#gather(0, MAX_TURNS)
  }

  #gather(before: number, turns: number): void {
    setImmediate(() => {
      const waiting = this.#queue.length
      if (waiting > before && waiting < MAX_BATCH && turns > 1) return this.#gather(waiting, turns - 1)
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
