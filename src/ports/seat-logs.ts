export interface LogSource {
  readonly path: string
  readonly format: 'raw' | 'k8s-file'
}

/** Reads the rotated log files that drivers write. */
export interface SeatLogs {
  /** The last `tail` lines (null: all that is kept), then, when following, what comes, until `ended` says so. */
  read(
    source: LogSource,
    options: { readonly tail: number | null; readonly follow: boolean },
    ended: AbortSignal,
  ): AsyncIterable<Uint8Array>
  /** When the agent last wrote anything, in epoch milliseconds; null: it has not, as far as is kept. */
  wroteAt(path: string): Promise<number | null>
}
