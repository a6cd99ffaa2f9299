/** Things by the moment at which they are due, in a heap: adding and taking cost the logarithm of how many there are. */
export class Timetable<T> {
  readonly #heap: { readonly at: number; readonly item: T }[] = []

  add(at: number, item: T): void {
    const heap = this.#heap
    let here = heap.length
    heap.push({ at, item })
    while (here > 0) {
      const above = (here - 1) >> 1
      if (heap[above]!.at <= at) break
      heap[here] = heap[above]!
      here = above
    }
    heap[here] = { at, item }
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
      if (below + 1 < heap.length && heap[below + 1]!.at < heap[below]!.at) below += 1
      if (last.at <= heap[below]!.at) break
      heap[here] = heap[below]!
      here = below
    }
    heap[here] = last
  }
}
