import type { Socket } from 'node:net'
import rateLimit from '@fastify/rate-limit'
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify as makeFastify } from 'fastify'
import { LazarusError } from '../kernel/errors.ts'
import { allowedMethods } from './allowed-methods.ts'
import { refuseUnreadable } from './client-error.ts'
import type { Connections } from './connections.ts'
import { DOCS_PREFIX, registerDocs } from './docs-page.ts'
import type { Handlers } from './handler.ts'
import { callerKey, type Door, identify } from './identity.ts'
import { createMetrics } from './metrics.ts'
import type { OpenCalls } from './open-calls.ts'
import { openapiDocument } from './openapi.ts'
import type { HttpLimits, ServerDeps } from './options.ts'
import { registerRoutes } from './register.ts'
import { recordRequests } from './request-log.ts'
import { cellHandlers } from './routes/cells.ts'
import { checkpointHandlers } from './routes/checkpoints.ts'
import { eventHandlers } from './routes/events.ts'
import { execHandlers } from './routes/exec.ts'
import { healthHandlers } from './routes/health.ts'
import { homeHandlers } from './routes/homes.ts'
import { hostHandlers } from './routes/host.ts'
import { logHandlers } from './routes/logs.ts'
import { metaHandlers } from './routes/meta.ts'
import { missionHandlers } from './routes/missions.ts'
import { revivalHandlers } from './routes/revivals.ts'
import { seatHandlers } from './routes/seats.ts'
import { refuseForeignPages } from './same-origin.ts'
import { HYGIENE, sendError, sendRaw } from './send-error.ts'

export interface FastifyDeps extends ServerDeps {
  readonly limits: HttpLimits
  readonly calls: OpenCalls
  readonly connections: Connections
  /** The Host values that TCP callers may send; known once the port is. */
  readonly allowed: { readonly hosts: ReadonlySet<string> }
  readonly doorOf: (socket: Socket) => Door
}

/** The longest path part that reaches a schema, which then refuses it by name; the head limit of node bounds it. */
const MAX_PATH_PART = 16_384

/** fastify, set up: hooks, routes of the table, error replies. It does not listen yet. */
export async function createFastify(deps: FastifyDeps): Promise<FastifyInstance> {
  const fastify = makeFastify({
    logger: false,
    genReqId: () => deps.entropy.uuid(),
    bodyLimit: deps.limits.body_bytes,
    requestTimeout: deps.limits.request_ms,
    http: { headersTimeout: deps.limits.headers_ms, connectionsCheckingInterval: 2_000 },
    return503OnClosing: false,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: MAX_PATH_PART },
    frameworkErrors: (error, request, reply) => sendError(deps, error, request, reply as FastifyReply),
    clientErrorHandler: refuseUnreadable,
  })
  fastify.removeContentTypeParser('text/plain')
  fastify.decorateRequest('principal', null)
  fastify.setErrorHandler((error, request, reply) => sendError(deps, error, request, reply))
  fastify.setNotFoundHandler((request) => refuseUnknown(request))
  const metrics = createMetrics(deps.app)
  recordRequests(fastify, { ...deps, metrics })
  fastify.addHook('onRequest', (request, reply, done) => {
    welcome(deps, request, reply)
    done()
  })
  await fastify.register(rateLimit, { global: false })
  const document = openapiDocument(deps.version)
  await registerDocs(fastify, document)
  registerRoutes(fastify, {
    app: deps.app,
    handlers: { ...HANDLERS, ...metaHandlers({ document, metrics: () => metrics.text() }) },
    limiter: limiter(fastify, deps.limits),
    calls: deps.calls,
    sendRaw: (request, reply, error) => sendRaw(deps, error, request, reply),
  })
  await fastify.ready()
  return fastify
}

const HANDLERS = {
  ...missionHandlers,
  ...seatHandlers,
  ...checkpointHandlers,
  ...revivalHandlers,
  ...execHandlers,
  ...logHandlers,
  ...eventHandlers,
  ...homeHandlers,
  ...hostHandlers,
  ...healthHandlers,
  ...cellHandlers,
} satisfies Omit<Handlers, 'healthz' | 'metrics' | 'openapi'>

const NO_CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"

/** Before anything else: headers that every answer has, the page check, and who is asking. */
function welcome(deps: FastifyDeps, request: FastifyRequest, reply: FastifyReply): void {
  deps.connections.begin(reply.raw, request.raw.socket)
  reply.headers(HYGIENE).header('x-request-id', request.id)
  if (!request.url.startsWith(DOCS_PREFIX)) reply.header('content-security-policy', NO_CONTENT_POLICY)
  if (deps.calls.reason) throw deps.calls.reason
  const door = deps.doorOf(request.raw.socket)
  if (door.kind === 'tcp') refuseForeignPages(deps.allowed.hosts, request.headers)
  request.principal = identify(deps.app, door, request.headers.authorization)
}

function limiter(fastify: FastifyInstance, limits: HttpLimits) {
  const seconds = 5
  return fastify.rateLimit({
    max: limits.requests_per_second * seconds,
    timeWindow: seconds * 1000,
    keyGenerator: (request) => callerKey(request.principal),
    allowList: (_request, key) => key === 'operator',
    errorResponseBuilder: (_request, { ttl }) =>
      new LazarusError('too_many_requests', `More than ${limits.requests_per_second} requests a second`, {
        details: { retry_after_s: Math.max(1, Math.ceil(ttl / 1000)) },
      }),
  })
}

function refuseUnknown(request: FastifyRequest): never {
  const path = request.url.split('?', 1)[0]?.slice(0, 200) ?? ''
  const allow = allowedMethods(path)
  if (allow.length === 0) throw new LazarusError('not_found', `There is no ${request.method} ${path}`)
  throw new LazarusError('method_not_allowed', `${path} does not take ${request.method}`, { details: { allow } })
}
