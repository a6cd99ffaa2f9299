import { ERRORS, type ErrorCode } from '../kernel/errors.ts'

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  not_found: 3,
  refused: 4,
  unavailable: 5,
  interrupted: 130,
} as const

const BY_CODE: Partial<Record<ErrorCode, number>> = {
  invalid_request: EXIT.usage,
  policy_invalid: EXIT.usage,
  ref_not_found: EXIT.not_found,
  isolation_unavailable: EXIT.unavailable,
  isolation_degraded: EXIT.unavailable,
  pit_not_running: EXIT.failed,
}

/** What a script can tell apart: wrong words, nothing there, refused, or this host cannot. */
export function exitCodeOf(code: string): number {
  const known = code in ERRORS ? (code as ErrorCode) : 'internal'
  return BY_CODE[known] ?? byStatus(ERRORS[known].status)
}

function byStatus(status: number): number {
  if (status === 404) return EXIT.not_found
  const refused = [401, 403, 409, 410, 422].includes(status)
  return refused ? EXIT.refused : EXIT.failed
}
