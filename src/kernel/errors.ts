/**
 * The catalogue of errors: one row per code. HTTP status, whether a retry can help, and the remedy that is
 * told when the thrower has no better one. `docs/errors.md` is held equal to this table by a test.
 */
export interface ErrorKind {
  readonly status: number
  readonly retryable: boolean
  readonly remedy: string
}

const kind = (status: number, remedy: string, retryable = false): ErrorKind => ({ status, retryable, remedy })

export const ERRORS = {
  invalid_request: kind(400, 'Correct the named field; GET /openapi.json has the schema.'),
  policy_invalid: kind(400, 'Correct the policy; policies/policy.schema.json describes every field.'),
  repository_unavailable: kind(400, 'Check the path or URL with git ls-remote, as the user that runs the pit.'),
  ref_not_found: kind(400, 'Name a branch, tag or commit that git ls-remote shows for this repository.'),
  image_unavailable: kind(400, 'Build the image with images/cell/build, or name one that podman images lists.'),
  unauthorized: kind(
    401,
    'Send the token of <state_dir>/operator.token as "Authorization: Bearer <token>", or use the socket.',
  ),
  forbidden: kind(403, 'Ask the operator, or use the token of a role that may do this.'),
  not_found: kind(404, 'GET /openapi.json lists every route.'),
  method_not_allowed: kind(405, 'The Allow header lists the methods of this path.'),
  mission_not_found: kind(404, 'List missions with: lazarus mission ls'),
  seat_not_found: kind(404, 'List the seats of a mission with: lazarus seat ls <mission>'),
  checkpoint_not_found: kind(404, 'List checkpoints with: lazarus checkpoints <mission> <agent>'),
  revival_not_found: kind(404, 'List what waits with: lazarus revivals'),
  agent_not_found: kind(404, 'GET /health lists the agents; open_registration in the configuration admits others.'),
  seal_not_found: kind(404, 'Take a new seal with: lazarus home seal'),
  conflict: kind(409, 'Read the present state and decide again.'),
  work_uncollected: kind(409, 'Collect the work first (lazarus collect), or repeat with force.'),
  agent_quarantined: kind(409, 'Read the reason in the seat; the way out is: lazarus revive <mission> <agent>'),
  handoff_refused: kind(409, 'Check handoff_to and handoff_from in config/permissions.json.'),
  pit_already_running: kind(409, 'Use the running pit, or stop it first.'),
  invitation_expired: kind(410, 'Ask for a new invitation.'),
  body_too_large: kind(413, 'Send a smaller body.'),
  unsupported_media_type: kind(415, 'Send JSON with content-type: application/json.'),
  home_mount_refused: kind(422, 'Name a path outside every registered home; lazarus run copies a checkout for you.'),
  isolation_degraded: kind(422, 'Allow the degradation in the policy by name, or mend the host: lazarus doctor'),
  checkpoint_corrupt: kind(422, 'Choose another checkpoint.'),
  seal_damaged: kind(422, 'Take a new seal with: lazarus home seal'),
  bundle_refused: kind(422, 'The commits failed the strict check; look at the details and commit again in the cell.'),
  limit_exceeded: kind(422, 'Make it smaller, or raise the limit in the policy.'),
  too_many_requests: kind(429, 'Wait as long as the Retry-After header says.', true),
  internal: kind(500, 'Look for the request id in the log of the pit.', true),
  ledger_unusable: kind(500, 'Restore the ledger from a backup, or run the version of Lazarus Pit that wrote it.'),
  spawn_failed: kind(500, 'Read the details; then spawn again. Nothing of the failed attempt is left.', true),
  runtime_failed: kind(502, 'Check the runtime with: lazarus doctor', true),
  isolation_unavailable: kind(503, 'Mend the host as lazarus doctor says, or choose another level.'),
  shutting_down: kind(503, 'Try again when the pit is back.', true),
  pit_not_running: kind(503, 'Start it with: lazarus serve'),
  timed_out: kind(504, 'Try again, or raise the timeout.', true),
  storage_full: kind(507, 'Free disk space, then repeat; nothing half-done was left.', true),
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof ERRORS

export interface LazarusErrorOptions {
  readonly remedy?: string
  readonly details?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

/** What every layer throws. `message` says what happened with the values in it. */
export class LazarusError extends Error {
  readonly code: ErrorCode
  readonly remedy: string
  readonly details: Readonly<Record<string, unknown>> | undefined

  constructor(code: ErrorCode, message: string, options: LazarusErrorOptions = {}) {
    super(message, { cause: options.cause })
    this.name = 'LazarusError'
    this.code = code
    this.remedy = options.remedy ?? ERRORS[code].remedy
    this.details = options.details
  }

  get status(): number {
    return ERRORS[this.code].status
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable
  }
}

export const isLazarusError = (error: unknown): error is LazarusError => error instanceof LazarusError

/** Any thrown value as a LazarusError: ENOSPC becomes storage_full, the unknown becomes internal, the cause is kept. */
export function asLazarusError(error: unknown): LazarusError {
  if (isLazarusError(error)) return error
  const cause = error as { code?: unknown; message?: unknown } | null | undefined
  const message = typeof cause?.message === 'string' ? cause.message : String(error)
  if (cause?.code === 'ENOSPC' || cause?.code === 'EDQUOT') {
    return new LazarusError('storage_full', `The disk is full: ${message}`, { cause: error })
  }
  return new LazarusError('internal', message, { cause: error })
}
