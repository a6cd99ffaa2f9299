import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { Metrics } from './metrics.ts'

export interface RecordOptions {
  readonly log: Log
  readonly clock: Clock
  readonly metrics: Metrics
}

/** One line and one sample per request, when its connection is done with it: streams too, aborted ones too. */
export function recordRequests(fastify: FastifyInstance, { log, clock, metrics }: RecordOptions): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    const started = clock.monotonic()
    reply.raw.once('close', () => {
      const ms = clock.monotonic() - started
      const facts = {
        method: request.method,
        route: request.routeOptions.url ?? 'unmatched',
        status: reply.raw.statusCode,
        ms,
      }
      metrics.observe(facts)
      const level = request.routeOptions.config?.frequent ? 'debug' : 'info'
      log[level](
        {
          request_id: request.id,
          ...facts,
          ms: Math.round(ms * 10) / 10,
          whole: reply.raw.writableFinished,
          ...callerOf(request),
        },
        'request',
      )
    })
    done()
  })
}

function callerOf({ principal }: FastifyRequest) {
  if (principal === null) return { caller: 'nobody' }
  if (principal.kind === 'operator') return { caller: 'operator', via: principal.via }
  return {
    caller: 'seat',
    via: principal.via,
    mission_id: principal.name.mission_id,
    agent_id: principal.name.agent_id,
  }
}
