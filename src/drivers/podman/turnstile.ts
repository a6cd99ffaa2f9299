/** Lets so many through at once, the others in the order of their coming. */
export class Turnstile {
  readonly #at_once: number
  readonly #waiting: (() => void)[] = []
  #inside = 0

  constructor(at_once: number) {
    this.#at_once = at_once
  }

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inside >= this.#at_once) await new Promise<void>((go) => this.#waiting.push(go))
    else this.#inside += 1
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#inside -= 1
    }
  }
}
