import { rmdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { SeatName } from '../contract/ids.ts'
import type { BaseRef, KeptCommits } from '../contract/mission.ts'
import type { Collection } from '../contract/seat.ts'
import type { SeatLayer, Workspace } from '../ports/workspace.ts'
import type { CollectContext } from './collect.ts'
import { collect, uncollected } from './collect.ts'
import { diff } from './diff.ts'
import { exists, removeOwnTree } from './durable.ts'
import { keepCommits } from './kept-commits.ts'
import { seededFiles } from './layer-content.ts'
import { formOf } from './layer-record.ts'
import { removeGone, removeStaged } from './layer-removal.ts'
import { airlockView, mountSources, sandboxMounts, writtenBy } from './mounts.ts'
import type { Parts } from './parts.ts'
import { mirrorOf } from './parts.ts'
import { empty, isWhole, measure } from './seat-files.ts'
import { sweepInbox } from './sweep-inbox.ts'
import { sweepTrash, UNFINISHED_MS } from './sweep-trash.ts'
import { discardToTrash } from './trash.ts'
import type { TrustedRepository } from './trusted-repository.ts'
import { ensureTrusted, makeSelfContained } from './trusted-repository.ts'
import type { WorkspaceDeps } from './workspace-deps.ts'

const never = new AbortController().signal
const NO_WORK = { files: 0, insertions: 0, deletions: 0 }

export function createWorkspace(deps: WorkspaceDeps, parts: Parts): Workspace {
  return new LayeredWorkspace(deps, parts)
}

class LayeredWorkspace implements Workspace {
  readonly #deps: WorkspaceDeps
  readonly #parts: Parts

  constructor(deps: WorkspaceDeps, parts: Parts) {
    this.#deps = deps
    this.#parts = parts
  }

  async resolve(repo: string | null, ref: string | null, abort: AbortSignal): Promise<BaseRef> {
    const base: BaseRef =
      repo === null
        ? { repo: null, repository_key: null, ref: null, commit: null }
        : await this.#resolveIn(repo, ref, abort)
    await this.#parts.bases.ensure(base, abort)
    return base
  }

  async #resolveIn(repo: string, ref: string | null, abort: AbortSignal): Promise<BaseRef> {
    const { shown, key, commit } = await this.#parts.mirrors.resolve(repo, ref, abort)
    return { repo: shown, repository_key: key, ref, commit }
  }

  async openMission(mission_id: string, base: BaseRef): Promise<void> {
    await this.#parts.bases.hold(base, mission_id, never)
    await ensureTrusted(this.#trusted(mission_id), base, mirrorOf(this.#parts, base))
  }

  openSeat(layer: SeatLayer) {
    return this.#exclusive(layer.seat, async () => {
      await this.#parts.layers.ensure(layer, this.#parts.bases.tree(layer.base), () => this.#isWhole(layer))
      const mounts = sandboxMounts(this.#parts.places(layer))
      for (const source of mountSources(mounts)) this.#parts.requireOwn(source)
      return mounts
    })
  }

  async isIntact(layer: SeatLayer): Promise<boolean> {
    const record = await this.#parts.layers.record(layer.seat)
    if (record === null || record.made === null) return false
    return this.#parts.layers.isVouchedFor(record) || (!record.unsynced && this.#isWhole(layer))
  }

  collect(layer: SeatLayer, abort: AbortSignal): Promise<Collection> {
    return this.#exclusive(layer.seat, async () => {
      const context = await this.#context(layer, abort)
      return context === null ? this.#nothingToCollect(layer) : collect(context)
    })
  }

  async diff(layer: SeatLayer, max_bytes: number, abort: AbortSignal) {
    const context = await this.#context(layer, abort)
    return context === null ? { text: new Uint8Array(), truncated: false } : diff(context, max_bytes)
  }

  async uncollected(layer: SeatLayer, abort: AbortSignal) {
    const context = await this.#context(layer, abort)
    return context === null ? { commits: 0, paths: [] } : uncollected(context)
  }

  async usage(seat: SeatName) {
    const record = await this.#parts.layers.record(seat)
    if (record === null) return { bytes: 0, entries: 0 }
    this.#parts.requireOwn(this.#parts.layers.directory(seat))
    return measure(this.#parts.airlock, this.#parts.layers.directory(seat), writtenBy(record.form))
  }

  async freeBytes(): Promise<number> {
    const { bfree, bsize } = await statfs(this.#deps.missionsPath)
    return bfree * bsize
  }

  discardToTrash(layer: SeatLayer, abort: AbortSignal) {
    return this.#exclusive(layer.seat, async () => {
      const record = await this.#parts.layers.record(layer.seat)
      if (record === null) return null
      const directory = this.#parts.layers.directory(layer.seat)
      this.#parts.requireOwn(directory)
      return discardToTrash(this.#parts.trash, layer, record, directory, abort)
    })
  }

  removeSeat(seat: SeatName): Promise<void> {
    return this.#exclusive(seat, async () => {
      await this.#parts.layers.detach(seat)
      await removeStaged(this.#parts, seat)
      await removeGone(this.#parts, seat)
    })
  }

  async closeMission(
    mission_id: string,
    base: BaseRef,
    keep: { readonly repository: boolean },
  ): Promise<KeptCommits | null> {
    const trusted = this.#trusted(mission_id)
    await this.#parts.layers.removeUnfinished(mission_id)
    const kept = keep.repository ? null : await keepCommits(this.#parts.trash, mission_id, trusted)
    if (keep.repository) {
      await makeSelfContained(trusted, never)
    } else {
      this.#parts.faults('mission.remove')
      await removeOwnTree(trusted.path)
      await this.#removeArtifacts(mission_id)
    }
    await rmdir(join(this.#parts.layers.mission(mission_id), 'worktree')).catch(() => {}) // not when a seat is left
    await this.#parts.bases.release(base, mission_id)
    return kept
  }

  async sweep(isKnown: (mission_id: string) => boolean = () => true): Promise<void> {
    const unfinished_before_ms = this.#deps.clock.now() - UNFINISHED_MS
    await sweepTrash(this.#parts.trash)
    await this.#parts.bases.sweep(isKnown)
    await this.#parts.mirrors.sweep(unfinished_before_ms, (key) => this.#parts.bases.borrowsFrom(key))
    await sweepInbox(join(this.#deps.stateDir, 'inbox'), {
      unused_before_ms: this.#deps.clock.now() - this.#parts.limits.unused_ms,
      unfinished_before_ms,
    })
    await this.#parts.airlock.sweep(unfinished_before_ms)
  }

  #trusted(mission_id: string): TrustedRepository {
    return { path: join(this.#parts.layers.mission(mission_id), 'repository.git'), faults: this.#parts.faults }
  }

  async #isWhole(layer: SeatLayer): Promise<boolean> {
    const directory = this.#parts.layers.directory(layer.seat)
    this.#parts.requireOwn(directory)
    const top = formOf(layer) === 'clone' ? 'tree' : 'upper'
    const seeds = seededFiles(layer.seat.agent_id).map((path) => `${top}/${path}`)
    return isWhole(this.#parts.airlock, directory, seeds)
  }

  /** null: the seat has no worktree that it could have written in. */
  async #context(layer: SeatLayer, abort: AbortSignal): Promise<CollectContext | null> {
    const places = this.#parts.places(layer)
    const view = airlockView(places)
    if (view === null || (await this.#parts.layers.record(layer.seat)) === null) return null
    this.#parts.requireOwn(places.layer)
    return {
      airlock: this.#parts.airlock,
      trusted: this.#trusted(layer.seat.mission_id),
      view,
      agent_id: layer.seat.agent_id,
      base: layer.base,
      origin_tips: () => this.#parts.bases.originTips(layer.base),
      max_bytes: this.#parts.limits.collect_bytes,
      abort,
    }
  }

  #nothingToCollect(layer: SeatLayer): Collection {
    const { path: repository } = this.#trusted(layer.seat.mission_id)
    const { commit } = layer.base
    return {
      branch: `mission/${layer.seat.agent_id}`,
      base: commit,
      head: commit,
      commits: [],
      outcome: 'no_change',
      uncommitted: [],
      diffstat: NO_WORK,
      repository,
    }
  }

  /** Agents wrote them, so the airlock empties them. */
  async #removeArtifacts(mission_id: string): Promise<void> {
    const directory = join(this.#parts.layers.mission(mission_id), 'artifacts')
    if (!(await exists(directory))) return
    this.#parts.requireOwn(directory)
    await empty(this.#parts.airlock, directory)
    await rmdir(directory)
  }

  #exclusive<T>(seat: SeatName, work: () => Promise<T>): Promise<T> {
    return this.#parts.serial.run(`${seat.mission_id}/${seat.agent_id}`, work)
  }
}
