interface Entry<T> {
  readonly at: number
  readonly order: number
  readonly item: T
}

/**
 * Things by the moment at which they are due, those of the same moment in order of arrival. A heap: adding and taking
 * cost the logarithm of how many there are.
 */
export class Timetable<T> {
  readonly #heap: Entry<T>[] = []
  #arrived = 0

  add(at: number, item: T): void {
    const heap = this.#heap
    this.#arrived += 1
    const entry = { at, order: this.#arrived, item }
    let here = heap.length
    while (here > 0) {
      const above = (here - 1) >> 1
      if (isBefore(heap[above]!, entry)) break
      heap[here] = heap[above]!
      here = above
    }
    heap[here] = entry
  }

  first(): { readonly at: number; readonly item: T } | null {
    return this.#heap[0] ?? null
  }

  /** Takes the first out. */
  take(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let here = 0
    for (;;) {
      let below = 2 * here + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below += 1
      if (isBefore(last, heap[below]!)) break
      heap[here] = heap[below]!
      here = below
    }
    heap[here] = last
  }
}

const isBefore = (a: Entry<unknown>, b: Entry<unknown>): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
