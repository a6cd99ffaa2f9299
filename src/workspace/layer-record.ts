import { lstat, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SeatName } from '../contract/ids.ts'
import type { BaseRef } from '../contract/mission.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { SeatLayer } from '../ports/workspace.ts'

/** How a seat sees its worktree: an overlay, a private copy, the base itself, or not at all. */
export type WorktreeForm = 'overlay' | 'clone' | 'base' | 'none'

export interface LayerRecord {
  /** Tells this layer from a later one of the same name. */
  readonly layer_id: string
  readonly form: WorktreeForm
  /** The checkpoint that it was laid out of; absent in one that began from the base. */
  readonly from?: string
  /** Present while that may not be on the disk yet: a power loss makes the layer one that is torn. */
  readonly unsynced?: true
  /** null where a power loss tore the record. */
  readonly made: { readonly base: BaseRef; readonly boot_id: string } | null
}

export function formOf(layer: Pick<SeatLayer, 'role' | 'mode'>): WorktreeForm {
  if (layer.role === 'audit') return 'none'
  return layer.role === 'read' ? 'base' : layer.mode
}

export function requirePurpose(form: WorktreeForm, base: BaseRef, layer: SeatLayer): void {
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

export const torn = ({ agent_id, mission_id }: SeatName) =>
  new LazarusError('conflict', `The layer of ${agent_id} in ${mission_id} was torn by a crash of the host.`, {
    remedy: 'Withdraw the seat with force: what is left of its work goes to the trash. Then seat the agent again.',
  })

/** The record in the directory of a layer; null where there is no layer. */
export async function readRecord(directory: string): Promise<LayerRecord | null> {
  const text = await readFile(join(directory, 'layer.json'), 'utf8').catch(absent)
  return parseRecord(text) ?? (await tornRecord(directory))
}

const absent = (error: NodeJS.ErrnoException): null => {
  if (error.code === 'ENOENT') return null
  throw error
}

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
  const facts = await lstat(directory).catch(absent)
  if (facts === null) return null
  const names = await readdir(directory)
  const form = names.includes('upper') ? 'overlay' : names.includes('tree') ? 'clone' : 'base'
  return { layer_id: `torn-${Math.floor(facts.birthtimeMs)}`, form, made: null }
}
