import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Log } from '../kernel/log.ts'
import { errorReply, visibleError } from './error-reply.ts'
import type { OpenCalls } from './open-calls.ts'

/** Headers of every answer. */
export const HYGIENE = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
}
const JSON_TYPE = 'application/json; charset=utf-8'

interface ErrorDeps {
  readonly log: Log
  readonly calls: OpenCalls
}

export function sendError(deps: ErrorDeps, error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { status, headers, body } = replyTo(deps, error, request)
  reply
    .code(status)
    .headers({ ...HYGIENE, 'x-request-id': request.id, ...headers })
    .type(JSON_TYPE)
    .send(body)
}

/** On a reply that fastify no longer owns. */
export function sendRaw(deps: ErrorDeps, error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  if (reply.raw.destroyed) return
  const { status, headers, body } = replyTo(deps, error, request)
  const before = reply.getHeaders() as OutgoingHttpHeaders
  if (!reply.raw.headersSent) reply.raw.writeHead(status, { ...before, ...headers, 'content-type': JSON_TYPE })
  reply.raw.end(JSON.stringify(body))
}

/** What failed because the server closes says so; what nobody expected goes to the log whole. */
function replyTo({ log, calls }: ErrorDeps, error: unknown, request: FastifyRequest) {
  const aborted = error instanceof Error && error.name === 'AbortError'
  const visible = visibleError(aborted && calls.reason ? calls.reason : error)
  if (visible.code === 'internal' && !request.raw.socket.destroyed) {
    const { method, routeOptions } = request
    log.error({ request_id: request.id, method, route: routeOptions.url, err: error }, 'unexpected error')
  }
  return errorReply(visible, request.id)
}
