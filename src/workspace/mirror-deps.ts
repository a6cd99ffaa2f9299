import type { Clock } from '../kernel/clock.ts'
import type { Airlock } from './airlock.ts'
import type { Faults } from './durable.ts'

export interface MirrorDeps {
  /** `<state_dir>/repos`. */
  readonly directory: string
  readonly airlock: Airlock
  readonly refuseHome: (path: string) => Promise<void>
  /** For ssh and proxies alone: HOME, SSH_AUTH_SOCK, https_proxy. */
  readonly remote_environment: Readonly<Record<string, string>>
  readonly max_bytes: number
  readonly clock: Clock
  /** A mirror that no base uses is kept this long after its last use. */
  readonly unused_ms: number
  readonly onProgress: (text: string) => void
  readonly faults: Faults
}

/** What a fetch brought: the commit of the remote HEAD, when it has one, and one that was asked for by id. */
export interface Fetched {
  readonly head: string | null
  readonly asked: string | null
}
