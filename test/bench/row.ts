import type { BenchPit } from './bench-pit.ts'
import type { Contender, Rounds, Series } from './contest.ts'
import type { Peers } from './peers/peers.ts'
import { quantile } from './statistics.ts'

/** What a row finds on the bench. */
export interface Bench {
  readonly quick: boolean
  /** A private directory on a real file system, gone at the end. */
  readonly dir: string
  readonly peers: Peers
  readonly abort: AbortSignal
  /** The pit that the rows share, started by the first that asks for it. */
  pit(): Promise<BenchPit>
  /** A bare repository with so many files. */
  repository(files: number): Promise<string>
  contest(contenders: readonly Contender[], rounds: Rounds): Promise<Series[]>
  say(progress: string): void
}

export interface BenchRow {
  readonly name: string
  readonly about: string
  run(bench: Bench): Promise<RowReport[]>
}

/** One row of the table of docs/performance.md. */
export interface RowReport {
  readonly title: string
  readonly unit: string
  readonly series: readonly Series[]
  readonly verdicts: readonly Verdict[]
  readonly notes: readonly string[]
}

/** What was asked for and what was reached. `value` is NaN when one side could not be measured. */
export interface Verdict {
  readonly what: string
  readonly value: number
  readonly unit: string
  readonly bound: 'at least' | 'at most'
  /** null: nothing was asked for, the value informs. */
  readonly target: number | null
}

export function met({ value, bound, target }: Verdict): boolean | null {
  if (Number.isNaN(value) || target === null) return null
  return bound === 'at least' ? value >= target : value <= target
}

export function find(series: readonly Series[], name: string): Series {
  const found = series.find((s) => s.name === name)
  if (!found) throw new Error(`No contender is called "${name}"`)
  return found
}

/** How many times the peer's p50 ours is: of times, where the smaller one is the better. */
export function timesFaster(series: readonly Series[], ours: string, peer: string, target: number | null): Verdict {
  const value = quantile(find(series, peer).samples, 0.5) / quantile(find(series, ours).samples, 0.5)
  return { what: `${ours} against ${peer}`, value, unit: '×', bound: 'at least', target }
}
