/**
 * Phi-accrual failure detection (Hayashibara et al., 2004): instead of a yes or no, how improbable it is that an agent
 * that is alive would be silent for so long, given how regularly it spoke before. phi 8: once in 10^8 silences.
 */

/** Milliseconds between heartbeats, newest last. What is older than the window no longer says how the agent behaves. */
export type Intervals = readonly number[]

export const WINDOW = 32

/** A clockwork would else be suspected after the jitter of one busy machine. */
const LEAST_DEVIATION_MS = 100
/** Of the mean: heartbeats that come by a timer still wait for a processor. */
const LEAST_DEVIATION = 0.1

/** What is expected of an agent that has promised an interval and shown none: that interval, give or take a quarter. */
export const promised = (interval_ms: number): Intervals => [interval_ms * 0.75, interval_ms * 1.25]

export function withInterval(intervals: Intervals, ms: number): Intervals {
  const kept = intervals.length < WINDOW ? intervals : intervals.slice(1 - WINDOW)
  return [...kept, ms]
}

/** How suspicious a silence of so many milliseconds is. Rises with the silence; 0 without anything to compare with. */
export function phi(intervals: Intervals, silence_ms: number): number {
  if (intervals.length === 0) return 0
  const mean = intervals.reduce((sum, ms) => sum + ms, 0) / intervals.length
  const variance = intervals.reduce((sum, ms) => sum + (ms - mean) ** 2, 0) / intervals.length
  const deviation = Math.max(Math.sqrt(variance), mean * LEAST_DEVIATION, LEAST_DEVIATION_MS)
  return -log10Tail((silence_ms - mean) / deviation)
}

/**
 * log10 of the probability that a normal variable exceeds its mean by more than `z` deviations, by the logistic
 * approximation that Akka uses (error below 0.0002). In logarithms throughout: the tail itself would underflow.
 */
function log10Tail(z: number): number {
  const logit = z * (1.5976 + 0.070566 * z * z)
  const log = logit > 0 ? -logit - Math.log1p(Math.exp(-logit)) : -Math.log1p(Math.exp(logit))
  return log / Math.LN10
}
