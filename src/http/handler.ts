import type { z } from 'zod'
import type { Application, Principal } from '../app/application.ts'
import type { ROUTES, RouteId } from '../contract/api.ts'
import type { Route } from '../contract/route.ts'

type Parsed<R, Part extends 'params' | 'query' | 'body'> = R extends {
  readonly [key in Part]: infer S extends z.ZodType
}
  ? z.output<S>
  : undefined

/** One authorised request whose parts were parsed by the schemas of its route. */
export interface Call<R extends Route> {
  readonly app: Application
  readonly params: Parsed<R, 'params'>
  readonly query: Parsed<R, 'query'>
  readonly body: Parsed<R, 'body'>
  readonly principal: Principal
  /** Aborts when the client leaves, and for streams when the server closes. */
  readonly abort: AbortSignal
  /** Whether the Accept header asks for the stream of the route. */
  readonly wants_stream: boolean
  readonly last_event_id: string | undefined
  readonly request_id: string
}

export type Write = (chunk: string | Uint8Array) => Promise<void>

/** Bytes that come bit by bit. `write` resolves when the client took enough for more. */
export class StreamReply {
  readonly media: string
  readonly run: (write: Write) => Promise<void>
  /** How the stream ends when `run` fails after the first byte; null: the connection is cut, so that the client sees it. */
  readonly lastWords: ((error: unknown) => string) | null

  constructor(
    media: string,
    run: (write: Write) => Promise<void>,
    lastWords: ((error: unknown) => string) | null = null,
  ) {
    this.media = media
    this.run = run
    this.lastWords = lastWords
  }
}

export class BytesReply {
  readonly media: string
  readonly body: Uint8Array | string
  readonly headers: Readonly<Record<string, string>>

  constructor(media: string, body: Uint8Array | string, headers: Readonly<Record<string, string>> = {}) {
    this.media = media
    this.body = body
    this.headers = headers
  }
}

type Frozen<T> = T extends readonly (infer E)[]
  ? readonly Frozen<E>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T
type Json<R extends Route> = R['answer'] extends { readonly kind: 'json'; readonly schema: infer S extends z.ZodType }
  ? Frozen<z.output<S>>
  : BytesReply | StreamReply
type Streamed<R extends Route> = R extends { readonly stream: string } ? StreamReply : never

export type Handler<Id extends RouteId> = (
  call: Call<(typeof ROUTES)[Id]>,
) => Promise<Json<(typeof ROUTES)[Id]> | Streamed<(typeof ROUTES)[Id]>>

/** One for each row of the route table: one that is missing does not compile. */
export type Handlers = { readonly [Id in RouteId]: Handler<Id> }
export type SomeHandlers<Id extends RouteId> = Pick<Handlers, Id>
