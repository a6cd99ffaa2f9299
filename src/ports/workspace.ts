import type { Role, SeatName } from '../contract/ids.ts'
import type { BaseRef, FinalSnapshot, KeptCommits, WorkspaceMode } from '../contract/mission.ts'
import type { Collection } from '../contract/seat.ts'
import type { SandboxMount } from './cell-driver.ts'

export interface SeatLayer {
  readonly seat: SeatName
  readonly role: Role
  readonly base: BaseRef
  readonly mode: WorkspaceMode
}

export interface LayerUsage {
  readonly bytes: number
  readonly entries: number
}

/** What a seat holds that the trusted repository does not. */
export interface Uncollected {
  readonly commits: number
  readonly paths: readonly string[]
}

/**
 * Worktrees: trusted mirrors, shared bases, private layers, and what crosses the airlock. Nothing here opens a
 * path inside a layer on the host. Every verb may be repeated.
 */
export interface Workspace {
  /** Mirrors the repository, resolves the ref, checks the base out. null repo: the empty base. */
  resolve(repo: string | null, ref: string | null, abort: AbortSignal): Promise<BaseRef>
  /** Takes a reference on the base for a mission and makes the mission's trusted repository. */
  openMission(mission_id: string, base: BaseRef): Promise<void>
  /** Makes the layer of a seat, or finds it, and says how to mount worktree, git objects, home, artifacts and brief. */
  openSeat(layer: SeatLayer): Promise<readonly SandboxMount[]>
  /** Whether the layer of the seat is there, and was not torn by a crash of the host. */
  isIntact(layer: SeatLayer): Promise<boolean>
  collect(layer: SeatLayer, abort: AbortSignal): Promise<Collection>
  /** Unified diff of committed and uncommitted work against the base, at most `max_bytes`. */
  diff(
    layer: SeatLayer,
    max_bytes: number,
    abort: AbortSignal,
  ): Promise<{ readonly text: Uint8Array; readonly truncated: boolean }>
  uncollected(layer: SeatLayer, abort: AbortSignal): Promise<Uncollected>
  usage(seat: SeatName): Promise<LayerUsage>
  /** Of the file system on which layers lie. */
  freeBytes(): Promise<number>
  /** Writes the layer and the in-cell home as tar.zst into the trash, durable before it resolves. Finds an earlier one. */
  discardToTrash(layer: SeatLayer, abort: AbortSignal): Promise<FinalSnapshot | null>
  /** Deletes the layer, through the airlock. */
  removeSeat(seat: SeatName): Promise<void>
  /**
   * Drops the reference on the base, and the mission's trusted repository unless it is kept. What was collected in it
   * goes into the trash first, as a bundle that is durable before anything is removed; null when there is nothing.
   */
  closeMission(mission_id: string, base: BaseRef, keep: { readonly repository: boolean }): Promise<KeptCommits | null>
  /**
   * Deletes trash that is past its retention, bases that nobody references, mirrors and copies that nobody used of
   * late. A mission that `isKnown` denies was never opened whole: what it holds is free.
   */
  sweep(isKnown?: (mission_id: string) => boolean): Promise<void>
}
