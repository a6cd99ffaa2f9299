import type { Readable, Writable } from 'node:stream'
import type { DeadManReport } from '../contract/dead-man.ts'
import type { HostReport } from '../contract/host.ts'
import type { LifeSigns } from '../contract/pit.ts'
import type { InstalledService, UninstalledService } from '../contract/service.ts'

export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number }

/** The terminal, as every verb sees it. */
export interface Io {
  readonly stdin: Readable
  readonly stdout: Output
  readonly stderr: Output
  readonly cwd: string
  /** Milliseconds since the epoch, for "3 min ago". */
  readonly now: () => number
}

export interface ServeRequest {
  readonly state_dir: string
  readonly listen: string | undefined
  readonly log_to_file: boolean
  readonly stop: AbortSignal
  readonly onListening: (where: { readonly socket: string; readonly url: string }) => void
}

/** What the CLI does without a running pit. Loaded when it is called: other verbs start without that weight. */
export interface LocalPit {
  serve(request: ServeRequest): Promise<number>
  /** Probes this host without a pit. */
  doctor(state_dir: string): Promise<HostReport>
  /** A pit for the time of one command. */
  start(state_dir: string): Promise<{ readonly socket: string; close(): Promise<void> }>
  createConfig(state_dir: string, force: boolean): Promise<{ readonly path: string; readonly replaced: boolean }>
  lifeSigns(state_dir: string): Promise<LifeSigns>
  /** One look from outside the pit. */
  deadMan(state_dir: string): Promise<DeadManReport>
  readonly service: {
    install(state_dir: string, start: boolean): Promise<InstalledService>
    uninstall(): Promise<UninstalledService>
    /** Unit → its text. */
    print(state_dir: string): Promise<Readonly<Record<string, string>>>
  }
}

export interface CliSettings {
  readonly version: string
  readonly state_dir: string
  /** Inside a cell: the socket of the seat. */
  readonly socket: string | null
  readonly token: string | null
  /** Colour on a terminal; false where NO_COLOR says so. */
  readonly colour: boolean
  /** The environment for git, which the CLI runs as the user's own process. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Of this process: whose checkouts git reads without being asked. */
  readonly uid: number
  /** For names of copies in the inbox. */
  readonly random: () => string
  readonly local: LocalPit
  /** Aborts on Ctrl-C. */
  readonly interrupted: AbortSignal
}
