import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { Faults } from './durable.ts'

/** Bytes, counts and milliseconds. */
export interface WorkspaceLimits {
  readonly repository_bytes: number
  readonly collect_bytes: number
  readonly trash_bytes: number
  readonly trash_entries: number
  /** Of the tar, before compression. */
  readonly checkpoint_bytes: number
  readonly checkpoint_entries: number
  readonly airlock_timeout_ms: number
  /** For whole repositories, archives and removals. */
  readonly airlock_long_timeout_ms: number
  readonly airlock_scratch_bytes: number
  readonly airlock_processes: number
  /** Address space of one process. */
  readonly airlock_memory_bytes: number
  readonly airlocks_at_once: number
  readonly base_grace_ms: number
  /** Mirrors and handed-over copies go so long after their last use. */
  readonly unused_ms: number
}

const GIB = 1024 ** 3
export const DEFAULT_LIMITS: WorkspaceLimits = {
  repository_bytes: 64 * GIB,
  collect_bytes: GIB,
  trash_bytes: 16 * GIB,
  trash_entries: 2_000_000,
  checkpoint_bytes: 16 * GIB,
  checkpoint_entries: 1_000_000,
  airlock_timeout_ms: 120_000,
  airlock_long_timeout_ms: 3_600_000,
  airlock_scratch_bytes: GIB,
  airlock_processes: 64,
  airlock_memory_bytes: 4 * GIB,
  airlocks_at_once: 4,
  base_grace_ms: 3_600_000,
  unused_ms: 30 * 86_400_000,
}

export interface WorkspaceDeps {
  /** Resolved; below it `repos`, `bases`, `trash`, `airlock` and, filled by the CLI, `inbox` are ours. */
  readonly stateDir: string
  /** Resolved. */
  readonly missionsPath: string
  readonly refuseHome: (path: string) => Promise<void>
  readonly clock: Clock
  readonly log: Log
  readonly retention: { readonly trash_days: number; readonly trash_bytes: number }
  /** Of the running boot of the host; default: what the kernel says. */
  readonly bootId?: string
  readonly limits?: Partial<WorkspaceLimits>
  /** For ssh and proxies alone: HOME, SSH_AUTH_SOCK, https_proxy. */
  readonly remoteEnvironment?: Readonly<Record<string, string>>
  readonly onProgress?: (text: string) => void
  /** Called before each durable step. */
  readonly faults?: Faults
}
