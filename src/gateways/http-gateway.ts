import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Clock } from '../kernel/clock.ts'
import type { Gateway, GatewayAnswer } from '../ports/gateway.ts'

export interface HttpGatewayOptions {
  readonly clock: Clock
  /** For the whole exchange, name look-up and body included. Default 5 s. */
  readonly timeout_ms?: number
}

const TIMEOUT_MS = 5_000
/** More of a body is not read: the connection is cut. */
export const BODY_LIMIT = 64 * 1024

/**
 * One GET on a connection of its own. Only 2xx with a bounded body is an answer; a redirect is none, because it would
 * let whoever holds the gateway point the pit at any address that it can reach.
 */
export function createHttpGateway({ clock, timeout_ms = TIMEOUT_MS }: HttpGatewayOptions): Gateway {
  return {
    async ask(url, abort): Promise<GatewayAnswer> {
      const timeout = AbortSignal.timeout(timeout_ms)
      const began = clock.monotonic()
      try {
        const response = await head(new URL(url), AbortSignal.any([abort, timeout]))
        const error = refusal(response) ?? (await readBody(response))
        const took_ms = clock.monotonic() - began
        return error === null ? { ok: true, took_ms } : { ok: false, error }
      } catch (error) {
        if (timeout.aborted) return { ok: false, error: `No answer within ${timeout_ms / 1000} s` }
        return { ok: false, error: `No answer: ${reasonOf(error)}` }
      }
    },
  }
}

function head(url: URL, signal: AbortSignal): Promise<IncomingMessage> {
  const request = url.protocol === 'https:' ? requestHttps : requestHttp
  return new Promise((resolve, reject) => {
    const sent: ClientRequest = request(url, { agent: false, signal, headers: { accept: '*/*' } }, resolve)
    sent.on('error', reject)
    sent.end()
  })
}

function refusal(response: IncomingMessage): string | null {
  const status = response.statusCode ?? 0
  if (status >= 200 && status < 300) return null
  response.destroy()
  return status >= 300 && status < 400 ? `Answered ${status}: redirects are not followed` : `Answered ${status}`
}

/** To the end, so that a gateway which dies in the middle of its answer is no healthy one. Leaving the loop early cuts the connection. */
async function readBody(response: IncomingMessage): Promise<string | null> {
  let bytes = 0
  for await (const chunk of response) {
    bytes += (chunk as Buffer).length
    if (bytes > BODY_LIMIT) return `Answered with more than ${BODY_LIMIT} bytes`
  }
  return null
}

const reasonOf = (error: unknown): string => {
  const { code, message } = error as NodeJS.ErrnoException
  return code ?? message
}
