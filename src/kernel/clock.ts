/** Time and chance are arguments: only `main/` and tests make them. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. May jump. For what is recorded. */
  now(): number
  /** Milliseconds that never jump back. For durations. */
  monotonic(): number
}

export interface Entropy {
  uuid(): string
  /** URL-safe random text that carries at least `bytes` bytes of entropy. */
  token(bytes: number): string
}

/** Longest that a timer of Node holds. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Aborts after so many milliseconds: whole ones, at least one, and no more than a timer holds. */
export const timeLimit = (ms: number): AbortSignal =>
  AbortSignal.timeout(Math.min(Math.max(1, Math.ceil(ms)), LONGEST_TIMER_MS))

/** ISO-8601 UTC with milliseconds, the form of every time on the wire. */
export const isoTime = (epochMs: number): string => new Date(epochMs).toISOString()

/** Milliseconds since the epoch of a time as the wire has it. */
export const epochOf = (iso: string): number => Date.parse(iso)
