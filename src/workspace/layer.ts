import { mkdir, readdir, readFile, rename, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { SeatName } from '../contract/ids.ts'
import type { BaseRef } from '../contract/mission.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { SeatLayer } from '../ports/workspace.ts'
import type { Faults } from './durable.ts'
import {
  buildingName,
  createFile,
  exists,
  makePrivateDirectory,
  randomName,
  removeOwnTree,
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
  readonly base: BaseRef
}

/** `<missions_path>/<mission_id>/worktree/<agent_id>`; its name appears when it is whole. */
export class Layers {
  readonly missions_path: string
  readonly #faults: Faults

  constructor(missions_path: string, faults: Faults) {
    this.missions_path = missions_path
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

  async record(seat: SeatName): Promise<LayerRecord | null> {
    const text = await readFile(join(this.directory(seat), 'layer.json'), 'utf8').catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return null
        throw error
      },
    )
    return text === null ? null : (JSON.parse(text) as LayerRecord)
  }

  /** Makes the layer of a seat, or finds the one that was made for the same purpose. */
  async ensure(layer: SeatLayer, base_tree: string): Promise<LayerRecord> {
    const form = formOf(layer)
    await makePrivateDirectory(this.artifacts(layer.seat))
    const found = await this.record(layer.seat)
    if (found !== null) return sameLayer(found, layer, form)
    const record: LayerRecord = { layer_id: randomName(), form, base: layer.base }
    await this.#build(layer, record, base_tree)
    return record
  }

  async #build(layer: SeatLayer, record: LayerRecord, base_tree: string): Promise<void> {
    const final = this.directory(layer.seat)
    const building = buildingName(final)
    this.#faults('layer.build')
    await makePrivateDirectory(dirname(final))
    try {
      await mkdir(building, { mode: 0o700 })
      await together([
        mkdir(join(building, 'home'), { mode: 0o700 }),
        layBrief(join(building, 'brief'), layer),
        layWorktree(building, layer, base_tree),
        createFile(join(building, 'layer.json'), JSON.stringify(record)),
      ])
      await syncDirectory(building)
      this.#faults('layer.appear')
      await rename(building, final)
      await syncDirectory(dirname(final))
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

function sameLayer(found: LayerRecord, layer: SeatLayer, form: WorktreeForm): LayerRecord {
  if (
    found.form === form &&
    found.base.commit === layer.base.commit &&
    found.base.repository_key === layer.base.repository_key
  )
    return found
  const { agent_id, mission_id } = layer.seat
  throw new LazarusError(
    'conflict',
    `The seat ${agent_id} of ${mission_id} has a layer (${found.form}) made for another purpose (${form}).`,
    {
      remedy: 'Withdraw the seat first.',
    },
  )
}
