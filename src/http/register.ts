import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import type { Application, Principal } from '../app/application.ts'
import { ROUTES, type RouteId } from '../contract/api.ts'
import type { Route } from '../contract/route.ts'
import type { Target } from '../domain/permissions.ts'
import { LazarusError } from '../kernel/errors.ts'
import { BytesReply, type Call, type Handlers, StreamReply } from './handler.ts'
import { authorise } from './identity.ts'
import { parse } from './input.ts'
import type { OpenCalls } from './open-calls.ts'
import { pump } from './outgoing.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sent it; null: nobody known. */
    principal: Principal | null
  }
  interface FastifyContextConfig {
    /** Logged at debug only. */
    frequent?: boolean
  }
}

export interface RegisterOptions {
  readonly app: Application
  readonly handlers: Handlers
  readonly limiter: onRequestHookHandler
  readonly calls: OpenCalls
  /** Answers an error on a reply that fastify no longer owns. */
  readonly sendRaw: (request: FastifyRequest, reply: FastifyReply, error: unknown) => void
}

type AnyHandler = (call: Call<Route>) => Promise<unknown>

/** Every row of the route table becomes a route: limited, authorised, parsed, answered. */
export function registerRoutes(fastify: FastifyInstance, options: RegisterOptions): void {
  for (const id of Object.keys(ROUTES) as RouteId[]) {
    const route: Route = ROUTES[id]
    const handler = options.handlers[id] as AnyHandler
    fastify.route({
      method: route.method,
      url: route.path,
      config: { frequent: route.frequent ?? false },
      onRequest: [options.limiter, authoriser(route)],
      handler: (request, reply) => answer(route, handler, request, reply, options),
    })
  }
}

const authoriser =
  ({ access }: Route): onRequestHookHandler =>
  (request, _reply, done) => {
    authorise(access, request.principal, targetOf(request))
    done()
  }

/** Before parsing: a foreign id that is no id at all is refused for a seat like any other foreign one. */
function targetOf(request: FastifyRequest): Target {
  const params = request.params as Target
  const query = request.query as Target
  return { mission_id: params.mission_id ?? query.mission_id, agent_id: params.agent_id }
}

async function answer(
  route: Route,
  handler: AnyHandler,
  request: FastifyRequest,
  reply: FastifyReply,
  options: RegisterOptions,
) {
  using token = watchToken(options.app, route, request.principal)
  const call = new OneCall(route, request, options.app, () => {
    const gone = options.calls.begin(reply.raw)
    return token === null ? gone : AbortSignal.any([gone, token.died])
  }) as Call<Route>
  const result = await handler(call)
  if (result instanceof BytesReply) return reply.headers(result.headers).type(result.media).send(result.body)
  if (!(result instanceof StreamReply)) return reply.code(route.answer.status).send(result)
  reply.hijack()
  await pump(reply.raw, reply.getHeaders() as OutgoingHttpHeaders, result, call.abort).catch((error) =>
    options.sendRaw(request, reply, error),
  )
}

/** What a token opened is cut at its death: a stream would go on for ever. null: nothing of that kind. */
function watchToken(
  app: Application,
  { stream, answer }: Route,
  principal: Principal | null,
): (Disposable & { readonly died: AbortSignal }) | null {
  if (principal?.kind !== 'seat' || principal.via !== 'token') return null
  if (stream === undefined && answer.kind !== 'bytes') return null
  const death = new AbortController()
  const over = () => death.abort(new LazarusError('unauthorized', 'The token is no longer valid'))
  const watch = app.onTokenDeath(principal.name, over)
  return { died: death.signal, [Symbol.dispose]: () => watch[Symbol.dispose]() }
}

/** A class, so that its getter lies on the prototype: one in each object would give each a shape of its own. */
class OneCall {
  readonly app: Application
  readonly params: unknown
  readonly query: unknown
  readonly body: unknown
  /** null on public routes alone, whose handlers do not ask. */
  readonly principal: Principal | null
  readonly wants_stream: boolean
  readonly last_event_id: string | undefined
  readonly request_id: string
  readonly #begin: () => AbortSignal
  #abort: AbortSignal | undefined

  constructor(route: Route, request: FastifyRequest, app: Application, begin: () => AbortSignal) {
    const lastEventId = request.headers['last-event-id']
    this.app = app
    this.params = parse('path', route.params, request.params)
    this.query = parse('query', route.query, request.query)
    this.body = parse('body', route.body, request.body)
    this.principal = request.principal
    this.wants_stream = route.stream !== undefined && (request.headers.accept ?? '').includes(route.stream)
    this.last_event_id = typeof lastEventId === 'string' ? lastEventId : undefined
    this.request_id = request.id
    this.#begin = begin
  }

  /** Made when it is first asked for: most calls are over before anybody could leave. */
  get abort(): AbortSignal {
    this.#abort ??= this.#begin()
    return this.#abort
  }
}
