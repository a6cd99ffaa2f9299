export interface Count {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export const sum = (counts: readonly Count[]): Count =>
  counts.reduce(
    (a, b) => ({ passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped }),
    {
      passed: 0,
      failed: 0,
      skipped: 0,
    },
  )

/** A phase that writes no report passes or fails as one. */
export const countWhole = (exitCode: number): Count => ({
  passed: Number(exitCode === 0),
  failed: Number(exitCode !== 0),
  skipped: 0,
})

/** Lines "ok …" and "not ok …"; a script that says nothing at all has failed. */
export function countFacts(log: string): Count {
  const passed = log.match(/^ok /gm)?.length ?? 0
  const failed = log.match(/^not ok /gm)?.length ?? 0
  return { passed, failed: passed + failed === 0 ? 1 : failed, skipped: 0 }
}

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly success: boolean
}

/** vitest's JSON report. Without one, or when something besides a test failed, that is one failure more. */
export function countReport(report: string | null, exitCode: number): Count {
  if (report === null) return { passed: 0, failed: 1, skipped: 0 }
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(report) as Report
  const unsaid = Number(exitCode !== 0 && numFailedTests === 0)
  return { passed: numPassedTests, failed: numFailedTests + unsaid, skipped: numPendingTests + numTodoTests }
}
