import { setImmediate as turn } from 'node:timers/promises'

/** One of those who are measured against each other. */
export interface Contender {
  readonly name: string
  /**
   * One sample in the unit of the row, or several of the same run by the names of their series. What it sets up and
   * clears away is outside the measured time.
   */
  sample(): Promise<number | Readonly<Record<string, number>>>
  /** Takes part in every n-th round only: for the slow ones. Default 1. */
  readonly every?: number
}

export interface Series {
  readonly name: string
  readonly samples: readonly number[]
  /** Why there are no samples, or fewer than planned. */
  readonly failure: string | null
}

export interface Rounds {
  readonly rounds: number
  /** Samples of each contender that are thrown away before the first round. */
  readonly warmups: number
}

/**
 * Lets the contenders take turns (A B C, B C A, C A B, …), so that a slow minute of the machine hits all of them
 * alike. One that fails is out, with the reason; the others go on.
 */
export async function contest(
  contenders: readonly Contender[],
  { rounds, warmups }: Rounds,
  abort: AbortSignal,
): Promise<Series[]> {
  const entries = contenders.map((contender) => new Entry(contender))
  for (let round = -warmups; round < rounds; round++) {
    for (const entry of rotated(entries, round + warmups)) {
      abort.throwIfAborted()
      if (entry.failure !== null || round % (entry.contender.every ?? 1) !== 0) continue
      try {
        const sample = await entry.contender.sample()
        if (round >= 0) entry.keep(sample)
      } catch (error) {
        abort.throwIfAborted()
        entry.failure = error instanceof Error ? error.message : String(error)
      }
      await turn()
    }
  }
  return entries.flatMap((entry) => entry.series())
}

class Entry {
  readonly contender: Contender
  failure: string | null = null
  readonly #samples = new Map<string, number[]>()

  constructor(contender: Contender) {
    this.contender = contender
    this.#samples.set(contender.name, [])
  }

  keep(sample: number | Readonly<Record<string, number>>): void {
    const named = typeof sample === 'number' ? { [this.contender.name]: sample } : sample
    for (const [name, value] of Object.entries(named)) {
      this.#samples.set(name, [...(this.#samples.get(name) ?? []), value])
    }
  }

  series(): Series[] {
    return [...this.#samples].map(([name, samples]) => ({ name, samples, failure: this.failure }))
  }
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const start = items.length === 0 ? 0 : by % items.length
  return [...items.slice(start), ...items.slice(0, start)]
}
