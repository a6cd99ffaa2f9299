import { rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { SeatName } from '../contract/ids.ts'
import type { BaseRef } from '../contract/mission.ts'
import type { Collection } from '../contract/seat.ts'
import type { Clock } from '../kernel/clock.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { SeatLayer, Workspace } from '../ports/workspace.ts'
import type { Airlock } from './airlock.ts'
import { createAirlock } from './airlock.ts'
import { EMPTY_SEAT, MEASURE_SEAT } from './airlock-scripts.ts'
import { Bases } from './base.ts'
import type { CollectContext } from './collect.ts'
import { collect, uncollected } from './collect.ts'
import { diff } from './diff.ts'
import type { Faults } from './durable.ts'
import { exists, removeOwnTree, requireDirectories } from './durable.ts'
import { text } from './git.ts'
import { formOf, Layers } from './layer.ts'
import { Mirrors } from './mirror.ts'
import { airlockView, mountSources, sandboxMounts, writtenBy } from './mounts.ts'
import type { SeatPlaces } from './mounts.ts'
import { Serial } from './serial.ts'
import { sweepTrash } from './sweep-trash.ts'
import type { TrashDeps } from './trash.ts'
import { discardToTrash } from './trash.ts'
import type { TrustedRepository } from './trusted-repository.ts'
import { ensureTrusted, makeSelfContained } from './trusted-repository.ts'

/** Bytes, counts and milliseconds. */
export interface WorkspaceLimits {
  readonly repository_bytes: number
  readonly collect_bytes: number
  readonly trash_bytes: number
  readonly trash_entries: number
  readonly airlock_timeout_ms: number
  readonly airlock_scratch_bytes: number
  readonly base_grace_ms: number
}

const GIB = 1024 ** 3
const DEFAULT_LIMITS: WorkspaceLimits = {
  repository_bytes: 64 * GIB,
  collect_bytes: GIB,
  trash_bytes: 16 * GIB,
  trash_entries: 2_000_000,
  airlock_timeout_ms: 120_000,
  airlock_scratch_bytes: GIB,
  base_grace_ms: 3_600_000,
}

export interface WorkspaceDeps {
  /** Resolved; below it `repos`, `bases`, `trash` and `airlock` are ours. */
  readonly stateDir: string
  /** Resolved. */
  readonly missionsPath: string
  readonly refuseHome: (path: string) => Promise<void>
  readonly clock: Clock
  readonly log: Log
  readonly retention: { readonly trash_days: number; readonly trash_bytes: number }
  readonly limits?: Partial<WorkspaceLimits>
  /** For ssh and proxies alone: HOME, SSH_AUTH_SOCK, https_proxy. */
  readonly remoteEnvironment?: Readonly<Record<string, string>>
  readonly onProgress?: (text: string) => void
  /** Called before each durable step. */
  readonly faults?: Faults
}

const never = new AbortController().signal
const NO_WORK = { files: 0, insertions: 0, deletions: 0 }

export function createWorkspace(deps: WorkspaceDeps): Workspace {
  return new LayeredWorkspace(deps)
}

class LayeredWorkspace implements Workspace {
  readonly #deps: WorkspaceDeps
  readonly #limits: WorkspaceLimits
  readonly #faults: Faults
  readonly #airlock: Airlock
  readonly #mirrors: Mirrors
  readonly #bases: Bases
  readonly #layers: Layers
  readonly #trash: TrashDeps
  readonly #serial = new Serial()

  constructor(deps: WorkspaceDeps) {
    const limits = { ...DEFAULT_LIMITS, ...deps.limits }
    const faults = deps.faults ?? (() => {})
    const airlock = createAirlock(join(deps.stateDir, 'airlock'), {
      timeout_ms: limits.airlock_timeout_ms,
      scratch_bytes: limits.airlock_scratch_bytes,
      processes: 64,
      memory_bytes: 4 * GIB,
      at_once: 4,
    })
    this.#deps = deps
    this.#limits = limits
    this.#faults = faults
    this.#airlock = airlock
    this.#mirrors = new Mirrors({
      directory: join(deps.stateDir, 'repos'),
      airlock,
      refuseHome: deps.refuseHome,
      remote_environment: deps.remoteEnvironment ?? {},
      max_bytes: limits.repository_bytes,
      onProgress: deps.onProgress ?? (() => {}),
      faults,
    })
    this.#bases = new Bases({
      directory: join(deps.stateDir, 'bases'),
      mirror: (key) => this.#mirrors.path(key),
      clock: deps.clock,
      grace_ms: limits.base_grace_ms,
      faults,
    })
    this.#layers = new Layers(deps.missionsPath, faults)
    this.#trash = {
      directory: join(deps.stateDir, 'trash'),
      airlock,
      clock: deps.clock,
      retention: deps.retention,
      max_bytes: limits.trash_bytes,
      max_entries: limits.trash_entries,
      faults,
    }
  }

  async resolve(repo: string | null, ref: string | null, abort: AbortSignal): Promise<BaseRef> {
    const base: BaseRef =
      repo === null ? { repo: null, repository_key: null, ref: null, commit: null } : await this.#resolveIn(repo, ref, abort)
    await this.#bases.ensure(base, abort)
    return base
  }

  async #resolveIn(repo: string, ref: string | null, abort: AbortSignal): Promise<BaseRef> {
    const { shown, key, commit } = await this.#mirrors.resolve(repo, ref, abort)
    return { repo: shown, repository_key: key, ref, commit }
  }

  async openMission(mission_id: string, base: BaseRef): Promise<void> {
    await this.#bases.hold(base, mission_id, never)
    await ensureTrusted(this.#trusted(mission_id), base, this.#mirrorOf(base))
  }

  openSeat(layer: SeatLayer) {
    return this.#exclusive(layer.seat, async () => {
      await this.#layers.ensure(layer, this.#bases.tree(layer.base))
      const mounts = sandboxMounts(this.#places(layer))
      for (const source of mountSources(mounts)) await this.#requireOwn(source)
      return mounts
    })
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
    const record = await this.#layers.record(seat)
    if (record === null) return { bytes: 0, entries: 0 }
    const mounts = [{ kind: 'bind', source: this.#layers.directory(seat), target: '/seat', read_only: true }] as const
    const passage = { script: MEASURE_SEAT, args: writtenBy(record.form), mounts, unprivileged: false, abort: never }
    const done = await this.#airlock.pass(passage, { max_stdout_bytes: 256 })
    const [bytes = Number.NaN, entries = Number.NaN] = text(done).split(' ').map(Number)
    if (Number.isSafeInteger(bytes) && Number.isSafeInteger(entries)) return { bytes, entries }
    throw new LazarusError('runtime_failed', `The layer of ${seat.agent_id} could not be measured: ${done.stderr.trim()}`)
  }

  discardToTrash(layer: SeatLayer, abort: AbortSignal) {
    return this.#exclusive(layer.seat, async () => {
      const record = await this.#layers.record(layer.seat)
      if (record === null) return null
      const directory = this.#layers.directory(layer.seat)
      await this.#requireOwn(directory)
      return discardToTrash(this.#trash, layer, record, directory, abort)
    })
  }

  removeSeat(seat: SeatName): Promise<void> {
    return this.#exclusive(seat, async () => {
      for (const directory of await this.#layers.detach(seat)) {
        await this.#emptyByAirlock(directory)
        await this.#layers.removeEmpty(directory)
      }
    })
  }

  async closeMission(mission_id: string, base: BaseRef, keep: { readonly repository: boolean }): Promise<void> {
    const trusted = this.#trusted(mission_id)
    await this.#layers.removeUnfinished(mission_id)
    if (keep.repository) {
      await makeSelfContained(trusted, never)
    } else {
      this.#faults('mission.remove')
      await removeOwnTree(trusted.path)
      await this.#removeArtifacts(mission_id)
    }
    await rmdir(join(this.#layers.mission(mission_id), 'worktree')).catch(() => {}) // not when a seat is left
    await this.#bases.release(base, mission_id)
  }

  async sweep(): Promise<void> {
    await sweepTrash(this.#trash)
    await this.#bases.sweep()
    await this.#airlock.sweep(Date.now() - 3_600_000)
  }

  #trusted(mission_id: string): TrustedRepository {
    return { path: join(this.#layers.mission(mission_id), 'repository.git'), faults: this.#faults }
  }

  #mirrorOf(base: BaseRef): string | null {
    return base.repository_key === null ? null : this.#mirrors.path(base.repository_key)
  }

  #places(layer: SeatLayer): SeatPlaces {
    const mirror = this.#mirrorOf(layer.base)
    return {
      form: formOf(layer),
      layer: this.#layers.directory(layer.seat),
      base_tree: this.#bases.tree(layer.base),
      objects: mirror === null ? null : join(mirror, 'objects'),
      artifacts: this.#layers.artifacts(layer.seat),
      all_artifacts: join(this.#layers.mission(layer.seat.mission_id), 'artifacts'),
    }
  }

  /** null: the seat has no worktree that it could have written in. */
  async #context(layer: SeatLayer, abort: AbortSignal): Promise<CollectContext | null> {
    const places = this.#places(layer)
    const view = airlockView(places)
    if (view === null || (await this.#layers.record(layer.seat)) === null) return null
    await this.#requireOwn(places.layer)
    return {
      airlock: this.#airlock,
      trusted: this.#trusted(layer.seat.mission_id),
      view,
      agent_id: layer.seat.agent_id,
      base: layer.base,
      origin_tips: () => this.#bases.originTips(layer.base),
      max_bytes: this.#limits.collect_bytes,
      abort,
    }
  }

  #nothingToCollect(layer: SeatLayer): Collection {
    const { path: repository } = this.#trusted(layer.seat.mission_id)
    const { commit } = layer.base
    return { branch: `mission/${layer.seat.agent_id}`, base: commit, head: commit, commits: [], outcome: 'no_change', uncommitted: [], diffstat: NO_WORK, repository }
  }

  /** Every component below our roots is a real directory, at the moment of use. */
  async #requireOwn(path: string): Promise<void> {
    const { missionsPath, stateDir } = this.#deps
    await requireDirectories(path.startsWith(`${missionsPath}/`) ? missionsPath : stateDir, path)
  }

  async #emptyByAirlock(directory: string): Promise<void> {
    await this.#requireOwn(directory)
    const mounts = [{ kind: 'bind', source: directory, target: '/seat', read_only: false }] as const
    const done = await this.#airlock.pass({ script: EMPTY_SEAT, args: [], mounts, unprivileged: false, abort: never })
    if (done.exit_code !== 0) throw new LazarusError('runtime_failed', `${directory} could not be emptied: ${done.stderr.trim().slice(-1000)}`)
  }

  /** Agents wrote them, so the airlock empties them. */
  async #removeArtifacts(mission_id: string): Promise<void> {
    const directory = join(this.#layers.mission(mission_id), 'artifacts')
    if (!(await exists(directory))) return
    await this.#emptyByAirlock(directory)
    await rmdir(directory)
  }

  #exclusive<T>(seat: SeatName, work: () => Promise<T>): Promise<T> {
    return this.#serial.run(`${seat.mission_id}/${seat.agent_id}`, work)
  }
}
