/** The API as quickstart sees it: one call that throws what the pit refuses. */
export type Call = <T>(method: string, path: string, body?: unknown) => Promise<T>

export interface QuickstartDeps {
  readonly call: Call
  /** Text of an answer as it comes. */
  readonly follow: (path: string, abort: AbortSignal) => AsyncIterable<string>
  readonly print: (line: string) => void
  readonly monotonic: () => number
  /** Where the demonstration repository may lie for a moment. */
  readonly scratchDir: string
}
