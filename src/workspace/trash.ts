import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { FinalSnapshot } from '../contract/mission.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { SeatLayer } from '../ports/workspace.ts'
import type { Airlock, Passage } from './airlock.ts'
import { ArchiveWatch, tooMuch, zstd } from './archive.ts'
import { seededPaths } from './layer-content.ts'
import type { LayerRecord } from './layer-record.ts'
import { writtenBy } from './mounts.ts'
import { TAR_SEAT } from './seat-scripts.ts'
import { streamOf } from './stream.ts'
import type { TrashNote, TrashPlace } from './trash-entry.ts'
import { readNote, writeToTrash } from './trash-entry.ts'

export interface TrashDeps extends TrashPlace {
  readonly airlock: Airlock
  readonly max_bytes: number
  readonly max_entries: number
}

/** Exit codes of TAR_SEAT. */
const TOO_MANY = 7
const NOTHING_FOREIGN = 8

interface LayerFacts {
  readonly agent_id: string
  readonly layer: LayerRecord
}

/**
 * Writes what the agent wrote, layer and home, as `<mission>/<agent>.<layer id>.tar.zst`. null when there is nothing
 * but what we seeded.
 */
export async function discardToTrash(
  deps: TrashDeps,
  { seat }: SeatLayer,
  record: LayerRecord,
  directory: string,
  abort: AbortSignal,
): Promise<FinalSnapshot | null> {
  const path = join(deps.directory, seat.mission_id, `${seat.agent_id}.${record.layer_id}.tar.zst`)
  const found = await readNote<LayerFacts>(path)
  if (found !== null) return snapshotOf(found)
  const ours = seededPaths(seat.agent_id).map((name) => `upper/${name}`)
  const parts = writtenBy(record.form)
  const mounts = [{ kind: 'bind', source: directory, target: '/seat', read_only: true }] as const
  const archive = {
    script: TAR_SEAT,
    args: [String(deps.max_entries), parts.join(' '), ...ours],
    mounts,
    unprivileged: false,
    long: true,
    abort,
  }
  const note = await writeToTrash<LayerFacts>(deps, {
    path,
    facts: { agent_id: seat.agent_id, layer: record },
    step: 'trash',
    fill: (sink) => fillArchive(deps, archive, parts, sink),
  })
  return note && snapshotOf(note)
}

/** Answers whether there is anything to keep. */
async function fillArchive(
  deps: TrashDeps,
  passage: Passage,
  parts: readonly string[],
  sink: Writable,
): Promise<boolean> {
  const stream = streamOf((on_stdout) =>
    deps.airlock.pass(passage, { on_stdout, max_stdout_bytes: Number.MAX_SAFE_INTEGER }),
  )
  const { max_bytes, max_entries } = deps
  const watch = new ArchiveWatch(parts, { purpose: 'trash', max_bytes, max_entries })
  await pipeline(watch.watched(stream.chunks), zstd(), sink)
  const done = await stream.done
  if (done?.exit_code === NOTHING_FOREIGN) return false
  if (done?.exit_code === TOO_MANY) throw tooMuch(`more than ${max_entries} entries`, 'entries', 'trash')
  if (done?.exit_code !== 0)
    throw new LazarusError('runtime_failed', `The layer could not be archived: ${done?.stderr.trim().slice(-1000)}`)
  watch.end()
  return true
}

const snapshotOf = ({ agent_id, path, bytes, sha256, keep_until }: TrashNote & LayerFacts): FinalSnapshot => ({
  agent_id,
  path,
  bytes,
  sha256,
  keep_until,
})
