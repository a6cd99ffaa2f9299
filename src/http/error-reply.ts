import type { ErrorBody } from '../contract/api.ts'
import { asLazarusError, isLazarusError, LazarusError } from '../kernel/errors.ts'

export interface ErrorReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: ErrorBody
}

interface ForeignError {
  readonly code?: unknown
  readonly statusCode?: unknown
  readonly message?: unknown
}

/** What fastify and its parsers throw, in the words of the catalogue. Their messages hold nothing internal. */
const FASTIFY_CODES: Readonly<Record<string, (message: string) => LazarusError>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: () => new LazarusError('body_too_large', 'The body is larger than this server takes'),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: (message) => new LazarusError('unsupported_media_type', message),
  FST_ERR_CTP_EMPTY_JSON_BODY: () =>
    new LazarusError('invalid_request', 'The body is empty; expected JSON, as the content-type says'),
  FST_ERR_CTP_INVALID_JSON_BODY: () => new LazarusError('invalid_request', 'The body is not valid JSON'),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    new LazarusError('invalid_request', 'The body is not as long as Content-Length says'),
  FST_ERR_BAD_URL: () => new LazarusError('invalid_request', 'The path is not a valid URL path'),
  FST_ERR_MAX_PARAM_LENGTH: () => new LazarusError('invalid_request', 'A part of the path is too long'),
  ECONNRESET: () => new LazarusError('invalid_request', 'The client left before its request was whole'),
}

/** Any thrown value as a LazarusError that a client may see. */
export function visibleError(error: unknown): LazarusError {
  if (isLazarusError(error)) return error
  const foreign = (error ?? {}) as ForeignError
  const known = typeof foreign.code === 'string' ? FASTIFY_CODES[foreign.code] : undefined
  if (known) return known(String(foreign.message))
  if (error instanceof SyntaxError && foreign.statusCode === 400) {
    return new LazarusError('invalid_request', `The body is not valid JSON: ${error.message}`)
  }
  return asLazarusError(error)
}

/** `internal` keeps its reasons for the log: the client gets the request id to look there. */
export function errorReply(error: LazarusError, request_id: string): ErrorReply {
  const internal = error.code === 'internal'
  const details = internal ? { request_id } : error.details
  return {
    status: error.status,
    headers: headersFor(error),
    body: {
      error: {
        code: error.code,
        message: internal ? 'The pit failed in an unexpected way' : error.message,
        remedy: error.remedy,
        retryable: error.retryable,
        ...(details === undefined ? {} : { details }),
      },
    },
  }
}

function headersFor(error: LazarusError): Record<string, string> {
  if (error.code === 'unauthorized') return { 'www-authenticate': 'Bearer realm="lazarus"' }
  if (error.code === 'too_many_requests') return { 'retry-after': String(error.details?.retry_after_s ?? 1) }
  if (error.code === 'method_not_allowed') return { allow: [error.details?.allow].flat().join(', ') }
  return {}
}
