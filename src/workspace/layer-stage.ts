import { mkdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Checkpoint } from '../contract/checkpoint.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { SeatLayer } from '../ports/workspace.ts'
import type { Airlock, Passage } from './airlock.ts'
import { GIVE_WORKTREE } from './airlock-scripts.ts'
import { verifyCheckpoint } from './checkpoint-verify.ts'
import { makePrivateDirectory, together } from './durable.ts'
import { gitReason, isDiskFull } from './git.ts'
import type { Layers } from './layer.ts'
import { layBrief, layClone, layOverlay } from './layer-content.ts'
import type { WorktreeForm } from './layer-record.ts'
import { formOf } from './layer-record.ts'
import type { SeatPlaces } from './mounts.ts'
import { writableView, writtenBy } from './mounts.ts'
import { sync } from './seat-files.ts'
import { EXTRACT_SEAT } from './seat-scripts.ts'

export interface Staging {
  readonly airlock: Airlock
  readonly layers: Layers
  readonly layer: SeatLayer
  /** Of the seat; `layer` is the directory that is staged. */
  readonly places: SeatPlaces
  readonly from: Checkpoint
  readonly abort: AbortSignal
}

/**
 * Lays a whole layer out of a checkpoint, in a directory that no cell ever saw. Each part is mounted into the airlock
 * by itself: nothing of the archive can come to lie beside them, where the host writes.
 */
export async function layStaged(staging: Staging): Promise<void> {
  const { layers, layer, places, from } = staging
  const form = formOf(layer)
  await makePrivateDirectory(layers.artifacts(layer.seat))
  await mkdir(places.layer, { mode: 0o700 })
  await together([
    ...writtenBy(form).map((part) => mkdir(join(places.layer, part), { mode: part === 'home' ? 0o700 : 0o755 })),
    ...(form === 'overlay' ? [mkdir(join(places.layer, 'work'), { mode: 0o700 })] : []),
  ])
  layBrief(join(places.layer, 'brief'), layer)
  const { parts } = await verifyCheckpoint(layers.missions_path, from, staging.abort, (tar) => extract(staging, tar))
  requireForm(form, parts, from)
  const hasWorktree = parts.has('upper') || parts.has('tree')
  if (!hasWorktree) await layFresh(staging, form)
  else if (form !== 'base' && form !== 'none' && isForeign(layer, from)) await giveWorktree(staging)
  await settle(staging)
}

/** A power loss has its own seat lay a checkpoint out again; what another's became must be on the disk at once. */
async function settle({ airlock, layers, layer, places, from }: Staging): Promise<void> {
  const isOwn = !isForeign(layer, from)
  layers.writeRecord(places.layer, layer, { from: from.checkpoint_id, ...(isOwn && { unsynced: true }) })
  if (isOwn || (await sync(airlock, places.layer))) return
  throw new LazarusError('runtime_failed', `The layer of ${layer.seat.agent_id} could not be written to the disk.`)
}

const isForeign = ({ seat }: SeatLayer, from: Checkpoint): boolean =>
  seat.mission_id !== from.mission_id || seat.agent_id !== from.agent_id

/** An overlay and a private copy are not made from one another. */
function requireForm(form: WorktreeForm, parts: ReadonlySet<string>, from: Checkpoint): void {
  const other = form === 'overlay' ? 'tree' : form === 'clone' ? 'upper' : null
  if (other === null || !parts.has(other)) return
  throw new LazarusError('conflict', `The checkpoint ${from.checkpoint_id} is not of a worktree of the kind ${form}.`, {
    remedy: 'Use it in a mission of the same workspace mode.',
  })
}

/** The seat that it is of had no worktree of its own. */
async function layFresh({ layer, places }: Staging, form: WorktreeForm): Promise<void> {
  const empty = form === 'overlay' ? ['upper', 'work'] : form === 'clone' ? ['tree'] : []
  for (const part of empty) await rmdir(join(places.layer, part))
  if (form === 'overlay') await layOverlay(places.layer, layer)
  if (form === 'clone') await layClone(places.layer, layer, places.base_tree)
}

/** All that comes through the check goes into the airlock; where the check fails, the tar there ends by itself first. */
async function extract(staging: Staging, tar: AsyncIterable<Uint8Array>): Promise<void> {
  const { airlock, layer, places, abort } = staging
  const wanted = writtenBy(formOf(layer))
  const mounts = wanted.map((part) => {
    return { kind: 'bind', source: join(places.layer, part), target: `/seat/${part}`, read_only: false } as const
  })
  const args = ['upper', 'tree', 'home'].filter((part) => !wanted.includes(part)).map((part) => `--exclude=${part}`)
  const passage = { script: EXTRACT_SEAT, args, mounts, unprivileged: false, long: true, large_files: true, abort }
  const fault = { error: null as unknown }
  const done = await airlock.pass(passage, { stdin: untilFault(tar, fault) })
  if (fault.error !== null) throw fault.error
  if (done.exit_code === 0) return
  const reason = done.stderr.trim().slice(-1000)
  if (isDiskFull(reason)) throw new LazarusError('storage_full', `The checkpoint could not be laid out: ${reason}`)
  throw new LazarusError('runtime_failed', `The checkpoint could not be laid out: ${reason}`)
}

async function* untilFault(chunks: AsyncIterable<Uint8Array>, fault: { error: unknown }): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks
  } catch (error) {
    fault.error = error
  }
}

/** The work of another seat gets this seat's branch and name. */
async function giveWorktree({ airlock, layer, places, from, abort }: Staging): Promise<void> {
  const { agent_id, mission_id } = layer.seat
  const args = [agent_id, mission_id, from.agent_id]
  const passage: Passage = { script: GIVE_WORKTREE, args, ...writableView(places)!, unprivileged: true, abort }
  const done = await airlock.pass(passage)
  if (done.exit_code === 0) return
  throw new LazarusError(
    'conflict',
    `The repository in checkpoint ${from.checkpoint_id} cannot be given to ${agent_id}: ${gitReason(done.stderr)}`,
    { remedy: 'Restore the checkpoint in its own seat, mend the repository there, and take another.' },
  )
}
