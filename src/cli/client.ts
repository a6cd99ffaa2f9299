import { openSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { basename, dirname, join } from 'node:path'
import type { ErrorBody } from '../contract/api.ts'
import { ERRORS, type ErrorCode, LazarusError } from '../kernel/errors.ts'

export type Target =
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'url'; readonly url: URL; readonly token: string | null }

export interface Ask {
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: unknown
  readonly accept?: string
  readonly signal?: AbortSignal
}

type Method = 'GET' | 'POST' | 'DELETE'

/** The pit's own error, as it came; the code may be newer than this client. */
export class ApiError extends Error {
  readonly code: string
  readonly remedy: string
  readonly details: Readonly<Record<string, unknown>> | undefined
  readonly body: ErrorBody

  constructor(body: ErrorBody) {
    super(body.error.message)
    this.name = 'ApiError'
    this.code = body.error.code
    this.remedy = body.error.remedy
    this.details = body.error.details
    this.body = body
  }
}

/** Longest path that a socket address holds, without the final zero byte. */
const MAX_ADDRESS = 107

export class Client {
  readonly #target: Target

  constructor(target: Target) {
    this.#target = target
  }

  get where(): string {
    return this.#target.kind === 'socket' ? this.#target.path : this.#target.url.origin
  }

  /** The text of a whole answer. */
  async text(method: Method, path: string, ask: Ask = {}): Promise<string> {
    const message = await this.stream(method, path, ask)
    return readAll(message).catch((error) => {
      throw this.#unreachable(error)
    })
  }

  /** The answer as soon as its head is there; throws what the pit says when it is an error. */
  async stream(method: Method, path: string, ask: Ask = {}): Promise<IncomingMessage> {
    const message = await this.#send(method, path, ask)
    if ((message.statusCode ?? 500) < 400) return message
    throw new ApiError(errorBody(await readAll(message), message.statusCode ?? 500))
  }

  #send(method: Method, path: string, ask: Ask): Promise<IncomingMessage> {
    const payload = ask.body === undefined ? undefined : JSON.stringify(ask.body)
    const options: RequestOptions = {
      ...this.#connection(),
      method,
      path: path + queryOf(ask.query),
      agent: false,
      headers: {
        host: this.#target.kind === 'url' ? this.#target.url.host : 'localhost',
        accept: ask.accept ?? 'application/json',
        ...(payload === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
        ...this.#authorization(),
      },
      ...(ask.signal ? { signal: ask.signal } : {}),
    }
    return new Promise((resolve, reject) => {
      const sent = httpRequest(options, resolve)
      sent.on('error', (error: NodeJS.ErrnoException) => reject(this.#unreachable(error)))
      sent.end(payload)
    })
  }

  #connection(): RequestOptions {
    if (this.#target.kind === 'socket') return { socketPath: shortPath(this.#target.path) }
    const { hostname, port } = this.#target.url
    return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 80) }
  }

  #authorization(): Record<string, string> {
    if (this.#target.kind === 'socket' || this.#target.token === null) return {}
    return { authorization: `Bearer ${this.#target.token}` }
  }

  #unreachable(error: NodeJS.ErrnoException): Error {
    if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') {
      return new LazarusError('pit_not_running', `No pit listens on ${this.where}`, { cause: error })
    }
    if (error.code === 'EACCES') {
      return new LazarusError('forbidden', `You may not open ${this.where}`, {
        cause: error,
        remedy: 'Call it as the user that runs the pit (bin/as-operator), or use --url with a token.',
      })
    }
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return connectionLost(error)
    return error
  }
}

export const connectionLost = (cause: unknown): LazarusError =>
  new LazarusError('runtime_failed', 'The connection to the pit broke', {
    cause,
    remedy: 'See whether it still runs: lazarus status',
  })

/** The directory stays open for the life of this process: the address goes through its descriptor. */
function shortPath(path: string): string {
  if (Buffer.byteLength(path) <= MAX_ADDRESS) return path
  try {
    return join(`/proc/self/fd/${openSync(dirname(path), 'r')}`, basename(path))
  } catch {
    return path
  }
}

function queryOf(query: Ask['query']): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined)
  if (given.length === 0) return ''
  return `?${new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]))}`
}

async function readAll(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/** Not every server on a port is a pit. */
function errorBody(text: string, status: number): ErrorBody {
  try {
    const body = JSON.parse(text) as ErrorBody
    if (typeof body.error?.code === 'string' && typeof body.error.message === 'string') return body
  } catch {}
  const code: ErrorCode = 'runtime_failed'
  const { remedy, retryable } = ERRORS[code]
  return { error: { code, message: `The server answered ${status} without a Lazarus error`, remedy, retryable } }
}
