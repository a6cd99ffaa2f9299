import { lstat, mkdir, readdir, readFile, rename, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { SeatName } from '../contract/ids.ts'
import type { BaseRef } from '../contract/mission.ts'
import { LazarusError } from '../kernel/errors.ts'
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
  together,
} from './durable.ts'
import { layBrief, layClone, layOverlay } from './layer-content.ts'

/** How a seat sees its worktree: an overlay, a private copy, the base itself, or not at all. */
export type WorktreeForm = 'overlay' | 'clone' | 'base' | 'none'

export interface LayerRecord {
  /** Tells this layer from a later one of the same name. */
  readonly layer_id: string
  readonly form: WorktreeForm
  /** null where a power loss tore the record. */
  readonly made: { readonly base: BaseRef; readonly boot_id: string } | null
}

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
    const directory = this.directory(seat)
    const text = await readFile(join(directory, 'layer.json'), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw error
    })
    return parseRecord(text) ?? (await tornRecord(directory))
  }

  /** Makes the layer of a seat, or finds the one that was made for the same purpose. */
  async ensure(layer: SeatLayer, base_tree: string, isWhole: IsWhole): Promise<void> {
    const found = await this.record(layer.seat)
    if (found === null) return this.#build(layer, base_tree)
    if (found.made === null) throw torn(layer.seat)
    requirePurpose(found.form, found.made.base, layer)
    if (found.made.boot_id === this.#boot_id) return
    if (!(await isWhole(found))) throw torn(layer.seat)
    await this.#vouch(layer, found)
  }

  /** What only we write is written again; then the record, so that a layer is looked at once in each boot. */
  async #vouch(layer: SeatLayer, found: LayerRecord): Promise<void> {
    const directory = this.directory(layer.seat)
    await makePrivateDirectory(this.artifacts(layer.seat))
    await layBrief(join(directory, 'brief'), layer)
    await replaceFile(join(directory, 'layer.json'), this.#recordOf(layer, found.layer_id))
  }

  #recordOf(layer: SeatLayer, layer_id: string): string {
    const record: LayerRecord = { layer_id, form: formOf(layer), made: { base: layer.base, boot_id: this.#boot_id } }
    return JSON.stringify(record)
  }

  async #build(layer: SeatLayer, base_tree: string): Promise<void> {
    const final = this.directory(layer.seat)
    const building = buildingName(final)
    this.#faults('layer.build')
    await together([makePrivateDirectory(this.artifacts(layer.seat)), makePrivateDirectory(dirname(final))])
    try {
      await mkdir(building, { mode: 0o700 })
      await together([
        mkdir(join(building, 'home'), { mode: 0o700 }),
        layBrief(join(building, 'brief'), layer),
        layWorktree(building, layer, base_tree),
        writeFile(join(building, 'layer.json'), this.#recordOf(layer, randomName()), { flag: 'wx', mode: 0o600 }),
      ])
      this.#faults('layer.appear')
      await rename(building, final)
    } catch (error) {
      await removeOwnTree(building) // no cell ever saw it
      throw error
    }
  }

  /**
   * Takes the name away at once; what is left bears names that no agent can have, and only the airlock may empty it.
   * Answers every such directory of the seat, those of interrupted removals too.
   */
  async detach(seat: SeatName): Promise<readonly string[]> {
    const directory = this.directory(seat)
    const parent = dirname(directory)
    if (await exists(directory)) {
      this.#faults('layer.detach')
      await rename(directory, join(parent, `.gone-${seat.agent_id}.${randomName()}`))
      await syncDirectory(parent)
    }
    const names = await readdir(parent).catch(() => [])
    return names.filter((name) => name.startsWith(`.gone-${seat.agent_id}.`)).map((name) => join(parent, name))
  }

  /** After the airlock emptied it. */
  async removeEmpty(directory: string): Promise<void> {
    this.#faults('layer.remove')
    await rmdir(directory)
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
  if (form === 'overlay') await layOverlay(building, layer)
  if (form === 'clone') await layClone(building, layer, base_tree)
}

export function formOf(layer: Pick<SeatLayer, 'role' | 'mode'>): WorktreeForm {
  if (layer.role === 'audit') return 'none'
  return layer.role === 'read' ? 'base' : layer.mode
}

function requirePurpose(form: WorktreeForm, base: BaseRef, layer: SeatLayer): void {
  const isSame = base.commit === layer.base.commit && base.repository_key === layer.base.repository_key
  const wanted = formOf(layer)
  if (form === wanted && isSame) return
  const { agent_id, mission_id } = layer.seat
  throw new LazarusError(
    'conflict',
    `The seat ${agent_id} of ${mission_id} has a layer (${form}) made for another purpose (${wanted}).`,
    { remedy: 'Withdraw the seat first.' },
  )
}

const torn = ({ agent_id, mission_id }: SeatName) =>
  new LazarusError('conflict', `The layer of ${agent_id} in ${mission_id} was torn by a crash of the host.`, {
    remedy: 'Withdraw the seat with force: what is left of its work goes to the trash. Then seat the agent again.',
  })

function parseRecord(text: string | null): LayerRecord | null {
  try {
    const record = JSON.parse(text ?? '') as LayerRecord | null
    return record?.made ? record : null
  } catch {
    return null
  }
}

/** For a layer whose record cannot be read; the form shows in the directories that we made. */
async function tornRecord(directory: string): Promise<LayerRecord | null> {
  const facts = await lstat(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (facts === null) return null
  const names = await readdir(directory)
  const form = names.includes('upper') ? 'overlay' : names.includes('tree') ? 'clone' : 'base'
  return { layer_id: `torn-${Math.floor(facts.birthtimeMs)}`, form, made: null }
}
