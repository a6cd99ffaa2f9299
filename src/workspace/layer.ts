import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { readdir, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { SeatName } from '../contract/ids.ts'
import type { SeatLayer } from '../ports/workspace.ts'
import type { Faults } from './durable.ts'
import {
  buildingName,
  exists,
  makePrivateDirectory,
  randomName,
  removeOwnTree,
  replaceFile,
  syncDirectory,
} from './durable.ts'
import { layBrief, layClone, layOverlay } from './layer-content.ts'
import { goneName } from './layer-names.ts'
import type { LayerRecord } from './layer-record.ts'
import { formOf, readRecord, requirePurpose, torn } from './layer-record.ts'

/** Whether what we seeded into a layer is whole; asked once after each boot of the host. */
export type IsWhole = (record: LayerRecord) => Promise<boolean>

/**
 * `<missions_path>/<mission_id>/worktree/<agent_id>`; its name appears when it is whole.
 *
 * Nothing of a fresh layer is synced to the disk. A killed pit loses nothing by that. A power loss ends every agent,
 * and may take the layer away: then the agent made nothing durable either, as every sync of its own, and every append
 * to the ledger on that file system, carries the directories along; the next one is made from the ledger and the base.
 * Or it may leave names without content: so the record holds the boot that vouches for it, and a layer from before is
 * looked at, in the airlock, before it is used again; a torn one is refused, and what is in it can go to the trash.
 */
export class Layers {
  readonly missions_path: string
  readonly #boot_id: string
  readonly #faults: Faults

  constructor(missions_path: string, boot_id: string, faults: Faults) {
    this.missions_path = missions_path
    this.#boot_id = boot_id
    this.#faults = faults
  }

  mission(mission_id: string): string {
    return join(this.missions_path, mission_id)
  }
  directory(seat: SeatName): string {
    return join(this.mission(seat.mission_id), 'worktree', seat.agent_id)
  }
  artifacts(seat: SeatName): string {
    return join(this.mission(seat.mission_id), 'artifacts', seat.agent_id)
  }

  /** null: there is no layer. */
  async record(seat: SeatName): Promise<LayerRecord | null> {
    return readRecord(this.directory(seat))
  }

  /** Makes the layer of a seat, or finds the one that was made for the same purpose. */
  async ensure(layer: SeatLayer, base_tree: string, isWhole: IsWhole): Promise<void> {
    const found = await this.record(layer.seat)
    if (found === null) return this.#build(layer, base_tree)
    if (found.made === null) throw torn(layer.seat)
    requirePurpose(found.form, found.made.base, layer)
    if (this.isVouchedFor(found)) return
    if (found.unsynced || !(await isWhole(found))) throw torn(layer.seat)
    await this.#vouch(layer, found)
  }

  /** Made or looked at in this boot of the host. */
  isVouchedFor(record: LayerRecord): boolean {
    return record.made?.boot_id === this.#boot_id
  }

  /** What only we write is written again; then the record, so that a layer is looked at once in each boot. */
  async #vouch(layer: SeatLayer, found: LayerRecord): Promise<void> {
    const directory = this.directory(layer.seat)
    await makePrivateDirectory(this.artifacts(layer.seat))
    layBrief(join(directory, 'brief'), layer)
    await replaceFile(join(directory, 'layer.json'), this.#recordOf(layer, found.layer_id, found))
  }

  #recordOf(layer: SeatLayer, layer_id: string, origin: Pick<LayerRecord, 'from' | 'unsynced'> = {}): string {
    const { from, unsynced } = origin
    const made = { base: layer.base, boot_id: this.#boot_id }
    const record: LayerRecord = {
      layer_id,
      form: formOf(layer),
      ...(from && { from }),
      ...(unsynced && { unsynced }),
      made,
    }
    return JSON.stringify(record)
  }

  /** Makes a directory that was laid out of a checkpoint a layer. */
  writeRecord(directory: string, layer: SeatLayer, origin: Pick<LayerRecord, 'from' | 'unsynced'>): void {
    const record = this.#recordOf(layer, randomName(), origin)
    writeFileSync(join(directory, 'layer.json'), record, { flag: 'wx', mode: 0o600 })
  }

  /** What is in the layer is on the disk now, if it still is that layer. */
  async markSynced(seat: SeatName, layer_id: string): Promise<void> {
    const found = await this.record(seat)
    if (found?.layer_id !== layer_id) return
    const { unsynced: _, ...record } = found
    await replaceFile(join(this.directory(seat), 'layer.json'), JSON.stringify(record))
  }

  /** Synchronous but for a clone: twenty names take less than one turn of the thread pool for each. */
  async #build(layer: SeatLayer, base_tree: string): Promise<void> {
    const final = this.directory(layer.seat)
    const building = buildingName(final)
    this.#faults('layer.build')
    for (const path of [this.artifacts(layer.seat), dirname(final)]) mkdirSync(path, { recursive: true, mode: 0o700 })
    try {
      for (const path of [building, join(building, 'home')]) mkdirSync(path, { mode: 0o700 })
      layBrief(join(building, 'brief'), layer)
      await layWorktree(building, layer, base_tree)
      writeFileSync(join(building, 'layer.json'), this.#recordOf(layer, randomName()), { flag: 'wx', mode: 0o600 })
      this.#faults('layer.appear')
      renameSync(building, final)
    } catch (error) {
      await removeOwnTree(building) // no cell ever saw it
      throw error
    }
  }

  /** The staged layer takes the name; `detach` took it from the one before. */
  async showStaged(seat: SeatName, whole: string): Promise<void> {
    this.#faults('layer.show')
    const directory = this.directory(seat)
    await rename(whole, directory)
    await syncDirectory(dirname(directory))
  }

  /** Takes the name away at once; what is left waits for `removeGone`. */
  async detach(seat: SeatName): Promise<void> {
    const directory = this.directory(seat)
    if (!(await exists(directory))) return
    this.#faults('layer.detach')
    await rename(directory, goneName(dirname(directory), seat))
    await syncDirectory(dirname(directory))
  }

  /** Builds that a killed daemon left; they were never mounted. */
  async removeUnfinished(mission_id: string): Promise<void> {
    const parent = join(this.mission(mission_id), 'worktree')
    for (const name of await readdir(parent).catch(() => [])) {
      if (name.startsWith('.new-')) await removeOwnTree(join(parent, name))
    }
  }
}

async function layWorktree(building: string, layer: SeatLayer, base_tree: string): Promise<void> {
  const form = formOf(layer)
  if (form === 'overlay') layOverlay(building, layer)
  if (form === 'clone') await layClone(building, layer, base_tree)
}
