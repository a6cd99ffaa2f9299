import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress } from 'node:zlib'
import type { FinalSnapshot } from '../contract/mission.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { SeatLayer } from '../ports/workspace.ts'
import type { Airlock, Passage } from './airlock.ts'
import { FIND_FOREIGN, TAR_SEAT } from './airlock-scripts.ts'
import { text } from './git.ts'
import type { LayerRecord } from './layer.ts'
import { seededPaths } from './layer-content.ts'
import { writtenBy } from './mounts.ts'
import { streamOf } from './stream.ts'
import type { TrashNote, TrashPlace } from './trash-entry.ts'
import { readNote, writeToTrash } from './trash-entry.ts'

export interface TrashDeps extends TrashPlace {
  readonly airlock: Airlock
  readonly max_bytes: number
  readonly max_entries: number
}

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
  const mounts = [{ kind: 'bind', source: directory, target: '/seat', read_only: true }] as const
  const look = {
    script: FIND_FOREIGN,
    args: seededPaths(seat.agent_id).map((name) => `upper/${name}`),
    mounts,
    unprivileged: false,
    abort,
  }
  if (text(await deps.airlock.pass(look, { max_stdout_bytes: 65_536 })) === 'ours') return null
  const archive = {
    script: TAR_SEAT,
    args: [String(deps.max_entries), ...writtenBy(record.form)],
    mounts,
    unprivileged: false,
    long: true,
    abort,
  }
  const note = await writeToTrash<LayerFacts>(deps, {
    path,
    facts: { agent_id: seat.agent_id, layer: record },
    step: 'trash',
    fill: (sink) => fillArchive(deps, archive, sink),
  })
  return snapshotOf(note)
}

async function fillArchive(deps: TrashDeps, passage: Passage, sink: NodeJS.WritableStream): Promise<void> {
  const stream = streamOf((on_stdout) =>
    deps.airlock.pass(passage, { on_stdout, max_stdout_bytes: Number.MAX_SAFE_INTEGER }),
  )
  const zstd = createZstdCompress({
    params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
  })
  await pipeline(stream.chunks, capAt(deps.max_bytes), zstd, sink)
  const done = await stream.done
  if (done?.exit_code === 7) throw tooMuch(`more than ${deps.max_entries} entries`)
  if (done?.exit_code !== 0)
    throw new LazarusError('runtime_failed', `The layer could not be archived: ${done?.stderr.trim().slice(-1000)}`)
}

function capAt(max_bytes: number): Transform {
  let seen = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length
      if (seen > max_bytes) done(tooMuch(`more than ${max_bytes} bytes`))
      else done(null, chunk)
    },
  })
}

const tooMuch = (what: string) =>
  new LazarusError('limit_exceeded', `The layer holds ${what}, too much for the trash.`, {
    remedy: 'Delete what is not needed in the cell, or raise the limit of the trash.',
  })

const snapshotOf = ({ agent_id, path, bytes, sha256, keep_until }: TrashNote & LayerFacts): FinalSnapshot => ({
  agent_id,
  path,
  bytes,
  sha256,
  keep_until,
})
