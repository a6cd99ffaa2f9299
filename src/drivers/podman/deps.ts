import type { Policy } from '../../contract/policy.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Log } from '../../kernel/log.ts'

export interface PodmanDeps {
  /** An existing private directory of this driver, on the host at the same path as here. */
  readonly root: string
  /** Names this state directory on the host: label of its containers. */
  readonly stateKey: string
  /** The socket of an API that runs already; null: the driver runs one. */
  readonly socket: string | null
  /** For the socket of our own service; short. */
  readonly runtimeDir: string
  /** PATH, HOME, XDG_RUNTIME_DIR for our own service. */
  readonly environment: Readonly<Record<string, string>>
  readonly clock: Clock
  readonly log: Log
  /** The tag of the cell image, when a policy names none. */
  readonly cellTag: () => Promise<string>
  /** Where policies and their seccomp profiles lie. */
  readonly policiesDir: string
  /** The policy of the level, which the probe tries out. */
  readonly policy: Policy
  /** Called before each step; throws in tests. */
  readonly faults?: (step: string) => void
}

/** Every step at which `faults` is called, by verb and in order. */
export const PODMAN_STEPS = {
  spawn: ['image', 'create', 'start', 'inspect', 'gate', 'measure', 'watch', 'open'].map((step) => `spawn.${step}`),
  exec: ['exec.create', 'exec.start'],
  destroy: ['find', 'kill', 'remove', 'rest'].map((step) => `destroy.${step}`),
} as const

export type Step = (name: string) => void
