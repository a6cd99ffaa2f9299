import type { LevelReport } from '../contract/host.ts'
import type { IsolationLevel, SandboxName } from '../contract/ids.ts'
import type { Released } from '../contract/mission.ts'
import type { EffectiveIsolation, Policy } from '../contract/policy.ts'
import type { ExitFact, SandboxHandle } from '../contract/seat.ts'
import type { CellImages } from './cell-images.ts'

/** What is mounted into a sandbox. Sources were resolved and checked against homes and other seats just before. */
export type SandboxMount =
  | {
      readonly kind: 'overlay'
      readonly target: string
      readonly lower: string
      readonly upper: string
      readonly work: string
    }
  | { readonly kind: 'bind'; readonly target: string; readonly source: string; readonly read_only: boolean }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly bytes: number }

export interface SandboxSpec {
  readonly name: SandboxName
  /** Resolved: level policy, mission override, seat override, host configuration. */
  readonly policy: Policy
  /** null: the sandbox stays open, for exec alone. */
  readonly command: readonly string[] | null
  readonly environment: Readonly<Record<string, string>>
  /** First the worktree at /workspace, unless the role has none. */
  readonly mounts: readonly SandboxMount[]
  readonly cwd: string
  /** Output of the agent goes here, rotated as policy.log says, also while the pit is down. */
  readonly log_path: string
  /** An existing, empty, private directory for the driver's own records of this sandbox. Outlives the pit. */
  readonly run_dir: string
  /** Host paths that must not be reachable inside: the registered homes, the state directory, the missions path. */
  readonly hidden_paths: readonly string[]
  /** The agent is let go only when this has settled, well or not: until then nothing inside touches the layer. */
  readonly hold?: Promise<unknown>
}

export interface Sandbox {
  readonly handle: SandboxHandle
  readonly effective: EffectiveIsolation
}

export interface ExecSpec {
  readonly command: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly cwd: string
  readonly stdin: Uint8Array | AsyncIterable<Uint8Array> | null
}

export interface ExecOutcome {
  /** 128 + n after signal n; 127: no such command; 126: not executable or no such cwd; null: the sandbox went away. */
  readonly exit_code: number | null
  readonly signal: string | null
}

export type OnOutput = (stream: 'stdout' | 'stderr', data: Uint8Array) => void | Promise<void>

export interface ExitNotice {
  readonly name: SandboxName
  readonly exit: ExitFact
}

/** What an exec shares with the agent beyond the sandbox itself: nothing is mounted for it. */
export type Confinement = Pick<SandboxSpec, 'policy'>

export type Adoption =
  | { readonly state: 'running'; readonly handle: SandboxHandle }
  | { readonly state: 'exited'; readonly exit: ExitFact }
  | { readonly state: 'gone' }

export interface DriverCapabilities {
  /** Freezes every process of a sandbox by signal(handle, 'freeze') and back by 'thaw'. */
  readonly freeze: boolean
  /** How the log file is written: as it came, or as conmon's "k8s-file" lines. */
  readonly log_format: 'raw' | 'k8s-file'
}

/**
 * Makes sandboxes of one level. Names are derived from mission, seat and generation, so every verb that is
 * repeated finds what the first attempt left. Foreign errors become LazarusErrors here.
 */
export interface CellDriver {
  readonly level: IsolationLevel
  readonly capabilities: DriverCapabilities
  /** Of levels whose cells start from an image. */
  readonly images?: CellImages
  /** Attacks a throw-away sandbox and says what this host can promise. Never throws for an unable host. */
  probe(abort: AbortSignal): Promise<LevelReport>
  /** Starts the sandbox, or finds the one of that name that runs, and measures it. Leaves nothing when it throws. */
  spawn(spec: SandboxSpec, abort: AbortSignal): Promise<Sandbox>
  /**
   * Runs a command with the same confinement, files, network and limits as the agent; abort kills it whole. In a frozen
   * sandbox it waits for the thaw.
   */
  exec(
    sandbox: { readonly handle: SandboxHandle; readonly spec: Confinement },
    exec: ExecSpec,
    onOutput: OnOutput,
    abort: AbortSignal,
  ): Promise<ExecOutcome>
  /** To the agent: a signal by name. To every process: 'freeze' and 'thaw' (by capability). Gone already is fine. */
  signal(handle: SandboxHandle, signal: NodeJS.Signals | 'freeze' | 'thaw'): Promise<void>
  /** Every sandbox of this driver and this state directory that the host shows, living or dead. */
  list(): Promise<readonly SandboxHandle[]>
  /** Judges a sandbox after a restart of the pit and, when it lives, watches it again. */
  adopt(handle: SandboxHandle): Promise<Adoption>
  /**
   * Ends every process and removes every trace outside the layer. Idempotent. Of a sandbox that had ended before it
   * resolves when nothing can run or write the layer any more; what is left to remove then, `list` waits for.
   */
  destroy(handle: SandboxHandle): Promise<Released>
  /** Tells each death once, within milliseconds. Deaths by destroy are not told. */
  exits(listener: (notice: ExitNotice) => void): Disposable
}
