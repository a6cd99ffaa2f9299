import { Timetable } from '../kernel/timetable.ts'

/** A revival of the queue, with its times on the monotonic clock: setting the wall clock brings nobody back early or late. */
export interface Waiting {
  readonly mission_id: string
  readonly agent_id: string
  readonly revival_id: string
  readonly approved: boolean
  readonly due_at: number
  readonly give_up_at: number
}

/** Who waits, by when it is due and by mission: a thousand that wait cost no more to look at than one. */
export class RevivalQueue {
  readonly #waiting = new Map<string, Waiting>()
  /** Those that may begin, of each mission in order of arrival. */
  readonly #ready = new Map<string, Map<string, Waiting>>()
  /** When each is due, and when it is given up. What is not waiting any more is passed over. */
  readonly #times = new Timetable<Waiting>()

  get(revival_id: string): Waiting | undefined {
    return this.#waiting.get(revival_id)
  }

  /** One that is known already takes the place of what was known of it. */
  put(waiting: Waiting): void {
    this.remove(waiting.revival_id)
    this.#waiting.set(waiting.revival_id, waiting)
    this.#times.add(waiting.give_up_at, waiting)
    if (waiting.approved) this.#times.add(waiting.due_at, waiting)
  }

  remove(revival_id: string): void {
    const known = this.#waiting.get(revival_id)
    this.#waiting.delete(revival_id)
    if (known) this.#forget(known)
  }

  /** To be called before anything is taken; tells those that waited too long, each once. */
  advance(now: number): readonly Waiting[] {
    const late: Waiting[] = []
    for (let first = this.#first(); first && first.at <= now; first = this.#first()) {
      this.#times.take()
      if (first.item.give_up_at <= now) late.push(first.item)
      else this.#makeReady(first.item)
    }
    for (const waiting of late) this.#forget(waiting)
    return [...new Set(late)]
  }

  /** The first that is ready of the mission with the smallest load; it waits on until it is removed, but is not ready. */
  take(loadOf: (mission_id: string) => number): Waiting | null {
    let [fairest, least] = [null as Map<string, Waiting> | null, Number.POSITIVE_INFINITY]
    for (const [mission_id, ready] of this.#ready) {
      const load = loadOf(mission_id)
      if (load < least) [fairest, least] = [ready, load]
    }
    const [waiting] = fairest?.values() ?? []
    if (waiting) this.#forget(waiting)
    return waiting ?? null
  }

  /** When there is something to do next. */
  next(): number | null {
    return this.#first()?.at ?? null
  }

  #first(): { readonly at: number; readonly item: Waiting } | null {
    for (let first = this.#times.first(); first; first = this.#times.first()) {
      if (this.#waiting.get(first.item.revival_id) === first.item) return first
      this.#times.take()
    }
    return null
  }

  #makeReady(waiting: Waiting): void {
    const ready = this.#ready.get(waiting.mission_id) ?? new Map<string, Waiting>()
    this.#ready.set(waiting.mission_id, ready.set(waiting.revival_id, waiting))
  }

  #forget({ mission_id, revival_id }: Waiting): void {
    const ready = this.#ready.get(mission_id)
    ready?.delete(revival_id)
    if (ready?.size === 0) this.#ready.delete(mission_id)
  }
}
