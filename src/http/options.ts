import type { Application } from '../app/application.ts'
import type { Clock, Entropy } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { UnixCellDoors } from './cell-door.ts'

export interface HttpLimits {
  readonly body_bytes: number
  /** Requests a second of one seat, and of all callers without a token together. */
  readonly requests_per_second: number
  /** How long the head, then the whole request may take to arrive. Answers may take any time. */
  readonly headers_ms: number
  readonly request_ms: number
  /** How long close waits for calls that do not heed the abort. */
  readonly close_ms: number
}

export const DEFAULT_LIMITS: HttpLimits = {
  body_bytes: 1024 * 1024,
  requests_per_second: 200,
  headers_ms: 10_000,
  request_ms: 60_000,
  close_ms: 5_000,
}

export interface ServerDeps {
  readonly app: Application
  readonly cellDoors: UnixCellDoors
  readonly log: Log
  readonly clock: Clock
  readonly entropy: Entropy
  /** Private to the operator; api.sock appears in it. */
  readonly state_dir: string
  /** host:port; port 0 takes any free one. */
  readonly listen: string
  readonly version: string
  readonly limits?: Partial<HttpLimits>
}

export interface Listening {
  readonly socket: string
  readonly host: string
  readonly port: number
  readonly url: string
}
