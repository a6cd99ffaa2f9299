import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Checkpoint } from '../contract/checkpoint.ts'
import type { SeatName } from '../contract/ids.ts'
import { asLazarusError, LazarusError } from '../kernel/errors.ts'
import { KeyedQueue } from '../kernel/queues.ts'
import type { CheckpointOrder, CheckpointStore } from '../ports/checkpoint-store.ts'
import type { SeatLayer } from '../ports/workspace.ts'
import type { ArchiveBounds } from './archive.ts'
import { ARCHIVE, checkpointsOf, directoryOf } from './checkpoint-files.ts'
import { archiveOf, sharedWith, writeCheckpoint } from './checkpoint-take.ts'
import { isArchiveSound, verifyCheckpoint } from './checkpoint-verify.ts'
import { exists, randomName } from './durable.ts'
import { stagedName, stagingName } from './layer-names.ts'
import { removeGone, removeStaged } from './layer-removal.ts'
import { layStaged } from './layer-stage.ts'
import { writtenBy } from './mounts.ts'
import type { Parts } from './parts.ts'
import { SeatArchive } from './seat-archive.ts'
import { sync } from './seat-files.ts'
import type { WorkspaceDeps } from './workspace-deps.ts'

export function createCheckpointStore(deps: WorkspaceDeps, parts: Parts): CheckpointStore {
  return new TarCheckpoints(deps, parts)
}

class TarCheckpoints implements CheckpointStore {
  readonly #deps: WorkspaceDeps
  readonly #parts: Parts
  readonly #bounds: ArchiveBounds
  readonly #serial = new KeyedQueue()

  constructor(deps: WorkspaceDeps, parts: Parts) {
    this.#deps = deps
    this.#parts = parts
    const { checkpoint_bytes: max_bytes, checkpoint_entries: max_entries } = parts.limits
    this.#bounds = { purpose: 'checkpoint', max_bytes, max_entries }
  }

  take(layer: SeatLayer, order: CheckpointOrder, abort: AbortSignal): Promise<Checkpoint | null> {
    const began_ms = this.#deps.clock.monotonic()
    return this.#exclusive(layer.seat, abort, async () => {
      const { missionsPath: missions_path, clock } = this.#deps
      const { faults } = this.#parts
      const taking = { missions_path, clock, faults, bounds: this.#bounds, layer, order, began_ms, abort }
      const view = await this.#view(layer)
      faults('checkpoint.take')
      await using archive = new SeatArchive(this.#parts.airlock, view, abort)
      const listing = await archive.listing(this.#bounds.max_entries)
      const { previous } = order
      const isSame = previous !== null && previous.fingerprint === listing.fingerprint
      if (!isSame || !(await this.#isSound(previous, order.unchanged === 'share', abort)))
        return await writeCheckpoint(taking, listing, archiveOf(taking, view, archive))
      if (order.unchanged === 'skip') return null
      return await writeCheckpoint(taking, listing, sharedWith(previous, directoryOf(missions_path, previous)))
    })
  }

  async isCurrent(layer: SeatLayer, checkpoint: Checkpoint, abort: AbortSignal): Promise<boolean> {
    if ((await this.#parts.layers.record(layer.seat)) === null) return false
    await using archive = new SeatArchive(this.#parts.airlock, await this.#view(layer), abort)
    const { fingerprint } = await archive.listing(this.#bounds.max_entries)
    return fingerprint === checkpoint.fingerprint && (await this.#isSound(checkpoint, false, abort))
  }

  async verify(checkpoint: Checkpoint, abort: AbortSignal) {
    const { bytes, entries } = await verifyCheckpoint(this.#deps.missionsPath, checkpoint, abort)
    return { bytes, entries }
  }

  stage(layer: SeatLayer, from: Checkpoint, abort: AbortSignal): Promise<void> {
    return this.#exclusive(layer.seat, abort, async () => {
      const { airlock, layers, faults } = this.#parts
      const worktrees = dirname(layers.directory(layer.seat))
      await mkdir(worktrees, { recursive: true, mode: 0o700 })
      this.#parts.requireOwn(worktrees)
      await removeStaged(this.#parts, layer.seat)
      faults('layer.stage')
      const building = stagingName(worktrees, layer.seat)
      const places = { ...this.#parts.places(layer), layer: building }
      try {
        await layStaged({ airlock, layers, layer, places, from, abort })
        faults('layer.staged')
        await rename(building, stagedName(worktrees, layer.seat, from.checkpoint_id))
      } catch (error) {
        await removeStaged(this.#parts, layer.seat)
        throw error
      }
    })
  }

  swap({ seat }: SeatLayer, from: Checkpoint): Promise<void> {
    return this.#exclusive(seat, undefined, async () => {
      const { layers, serial } = this.#parts
      const staged = stagedName(dirname(layers.directory(seat)), seat, from.checkpoint_id)
      if (await exists(staged)) {
        await serial.run(`${seat.mission_id}/${seat.agent_id}`, async () => {
          await layers.detach(seat)
          await layers.showStaged(seat, staged)
        })
      } else if ((await layers.record(seat))?.from !== from.checkpoint_id) {
        throw new LazarusError(
          'conflict',
          `The checkpoint ${from.checkpoint_id} was not laid out for ${seat.agent_id}.`,
        )
      }
      void this.#settle(seat)
    })
  }

  /**
   * What nobody waits for: the checkpoint itself is durable, so a power loss before this has ended loses nothing; the
   * layer is then laid out again. A removal that fails is repeated by the next sweep of the seat, or its withdrawal.
   */
  async #settle(seat: SeatName): Promise<void> {
    try {
      await removeGone(this.#parts, seat)
      await this.#sync(seat)
    } catch (error) {
      const { code, message } = asLazarusError(error)
      this.#deps.log.warn({ ...seat, code, message }, 'after a restore not everything was put away')
    }
  }

  async #sync(seat: SeatName): Promise<void> {
    const { layers, airlock, serial } = this.#parts
    const record = await layers.record(seat)
    if (!record?.unsynced || !layers.isVouchedFor(record)) return
    if (!(await sync(airlock, layers.directory(seat)))) return
    await serial.run(`${seat.mission_id}/${seat.agent_id}`, () => layers.markSynced(seat, record.layer_id))
  }

  unstage(seat: SeatName): Promise<void> {
    return this.#exclusive(seat, undefined, () => removeStaged(this.#parts, seat))
  }

  async remove(checkpoint: Checkpoint): Promise<void> {
    const directory = directoryOf(this.#deps.missionsPath, checkpoint)
    if (!(await exists(directory))) return
    this.#parts.faults('checkpoint.remove')
    await removeCheckpoint(directory)
  }

  sweep(seat: SeatName, listed: ReadonlySet<string>): Promise<void> {
    return this.#exclusive(seat, undefined, async () => {
      const home = checkpointsOf(this.#deps.missionsPath, seat)
      for (const name of await readdir(home).catch(() => [])) {
        if (!OURS.test(name) || listed.has(name)) continue
        this.#parts.faults('checkpoint.sweep')
        await removeCheckpoint(join(home, name))
      }
      await removeStaged(this.#parts, seat)
      await removeGone(this.#parts, seat)
      await this.#sync(seat)
    })
  }

  async #view(layer: SeatLayer) {
    const { layer: directory, artifacts, form } = this.#parts.places(layer)
    this.#parts.requireOwn(directory)
    this.#parts.requireOwn(artifacts)
    return { layer: directory, artifacts, parts: writtenBy(form) }
  }

  /** Whether an archive may be relied on instead of a new one. For one that is acknowledged anew it is read anew. */
  async #isSound(checkpoint: Checkpoint, thorough: boolean, abort: AbortSignal): Promise<boolean> {
    const directory = directoryOf(this.#deps.missionsPath, checkpoint)
    if (thorough) return isArchiveSound(directory, checkpoint, abort)
    const facts = await lstat(join(directory, ARCHIVE)).catch(() => null)
    return facts?.isFile() === true && facts.size === checkpoint.bytes
  }

  #exclusive<T>(seat: SeatName, abort: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    return this.#serial.run(`${seat.mission_id}/${seat.agent_id}`, work, abort)
  }
}

/** Names that we give, below the checkpoints of a seat. */
const OURS = /^(\.new-|\.gone-|ckpt_[0-9a-f]{24}$)/

/** The name goes first, so that no half of one is found under it. */
async function removeCheckpoint(directory: string): Promise<void> {
  const gone = join(dirname(directory), `.gone-${randomName()}`)
  await rename(directory, gone)
  await rm(gone, { recursive: true, force: true })
}
