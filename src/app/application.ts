import type { ScanReport } from '../contract/cell.ts'
import type { Checkpoint, CheckpointVerification, PruneReport, PruneRequest } from '../contract/checkpoint.ts'
import type { RecordedEvent } from '../contract/event.ts'
import type { ForkRequest } from '../contract/fork.ts'
import type { AgentDetail, HealthReport, HeartbeatReply, HeartbeatRequest } from '../contract/health.ts'
import type { Seal, SealRequest, Verification } from '../contract/home.ts'
import type { HostReport } from '../contract/host.ts'
import type { Role, SandboxName, SeatName } from '../contract/ids.ts'
import type { DestroyReport, Mission, MissionRequest, WithdrawReport } from '../contract/mission.ts'
import type { PitStatus } from '../contract/pit.ts'
import type { Incident, Revival, ReviveRequest } from '../contract/revival.ts'
import type {
  Collection,
  ExecRequest,
  ExecResult,
  LayerUsage,
  RevivedSeat,
  Seat,
  SeatRequest,
  SpawnedSeat,
} from '../contract/seat.ts'
import type { ReadOptions } from '../ports/event-log.ts'

/** Who calls. Identity is the socket or a hashed token; nothing that a caller says changes it. */
export type Principal =
  | { readonly kind: 'operator'; readonly via: 'socket' | 'token' }
  | { readonly kind: 'seat'; readonly name: SandboxName; readonly role: Role; readonly via: 'socket' | 'token' }

/** Output of an exec as it comes; the last word is the result. Awaited, so that a slow reader slows the writer. */
export type OnExecOutput = (stream: 'stdout' | 'stderr', data: Uint8Array) => void | Promise<void>

export type ExecEnd = Pick<ExecResult, 'exit_code' | 'signal' | 'timed_out' | 'duration_ms'>

/**
 * What the doors (http, cli through http, later mcp) call. Input was parsed by the schemas of contract/, the caller
 * was authorised by the route table. Everything throws LazarusErrors.
 */
export interface Application {
  createMission(request: MissionRequest, by: Principal, abort: AbortSignal): Promise<Mission>
  listMissions(options: { readonly all: boolean }): readonly Mission[]
  inspectMission(mission_id: string): Mission
  pauseMission(mission_id: string): Promise<Mission>
  resumeMission(mission_id: string): Promise<Mission>
  completeMission(mission_id: string): Promise<Mission>
  archiveMission(mission_id: string, abort: AbortSignal): Promise<Mission>
  destroyMission(mission_id: string, force: boolean): Promise<DestroyReport>

  addSeat(mission_id: string, request: SeatRequest, abort: AbortSignal): Promise<SpawnedSeat>
  listSeats(mission_id: string): readonly Seat[]
  readSeat(mission_id: string, agent_id: string): Seat
  seatUsage(mission_id: string, agent_id: string): Promise<LayerUsage>
  withdrawSeat(mission_id: string, agent_id: string, force: boolean): Promise<WithdrawReport>
  execStream(
    mission_id: string,
    agent_id: string,
    request: ExecRequest,
    onOutput: OnExecOutput,
    abort: AbortSignal,
  ): Promise<ExecEnd>
  /** The whole output in memory, bounded at 1 MiB per stream; `truncated` says when it was cut. */
  execWhole(mission_id: string, agent_id: string, request: ExecRequest, abort: AbortSignal): Promise<ExecResult>
  logs(
    mission_id: string,
    agent_id: string,
    options: { readonly follow: boolean; readonly tail: number | null },
    abort: AbortSignal,
  ): AsyncIterable<Uint8Array>
  collect(mission_id: string, agent_id: string, abort: AbortSignal): Promise<Collection>
  diff(
    mission_id: string,
    agent_id: string,
    abort: AbortSignal,
  ): Promise<{ readonly text: Uint8Array; readonly truncated: boolean }>
  checkpointSeat(mission_id: string, agent_id: string, reason: string, abort: AbortSignal): Promise<Checkpoint>
  listCheckpoints(mission_id: string, agent_id: string): readonly Checkpoint[]
  verifyCheckpoint(
    mission_id: string,
    agent_id: string,
    checkpoint_id: string,
    abort: AbortSignal,
  ): Promise<CheckpointVerification>
  removeCheckpoint(mission_id: string, agent_id: string, checkpoint_id: string): Promise<Checkpoint>
  pruneCheckpoints(mission_id: string, agent_id: string, request: PruneRequest): Promise<PruneReport>
  forkCheckpoint(
    from: { readonly mission_id: string; readonly agent_id: string; readonly checkpoint_id: string },
    request: ForkRequest,
    by: Principal,
    abort: AbortSignal,
  ): Promise<SpawnedSeat>
  restoreSeat(mission_id: string, agent_id: string, checkpoint_id: string, abort: AbortSignal): Promise<RevivedSeat>
  reviveSeat(mission_id: string, agent_id: string, request: ReviveRequest, abort: AbortSignal): Promise<RevivedSeat>
  listRevivals(): readonly Revival[]
  approveRevival(revival_id: string, by: Principal): Promise<Seat>
  declineRevival(revival_id: string, by: Principal): Promise<Seat>
  /** Oldest first. */
  listIncidents(mission_id: string | undefined): readonly Incident[]
  killSeat(mission_id: string, agent_id: string, signal: NodeJS.Signals): Promise<Seat>

  sealHomes(request: SealRequest, abort: AbortSignal): Promise<Seal>
  verifyHomes(seal_id: string, abort: AbortSignal): Promise<Verification>
  scan(): Promise<ScanReport>
  /** Lays out a cell directory for an id that the caller chose: an empty, seatless mission of that id. */
  initCell(mission_id: string): Promise<Mission>
  host(options: { readonly refresh: boolean }): Promise<HostReport>
  status(): PitStatus
  heartbeat(agent_id: string, request: HeartbeatRequest, by: Principal): Promise<HeartbeatReply>
  health(): HealthReport
  agentHealth(agent_id: string, by: Principal): Promise<AgentDetail>
  /** Since the start of the pit. */
  heartbeatsTaken(): number
  readEvents(options: ReadOptions): readonly RecordedEvent[]
  followEvents(options: ReadOptions, abort: AbortSignal): AsyncIterable<RecordedEvent>
  /** Who holds this bearer token, or null. Operator token and seat tokens; hashes compared in constant time. */
  identify(token: string): Principal | null
  /** Calls once, when the token that the seat has now is no longer valid. */
  onTokenDeath(seat: SeatName, listener: () => void): Disposable
}
