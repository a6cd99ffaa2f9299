import { createHash } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress } from 'node:zlib'
import type { FinalSnapshot } from '../contract/mission.ts'
import type { Clock } from '../kernel/clock.ts'
import { isoTime } from '../kernel/clock.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { SeatLayer } from '../ports/workspace.ts'
import type { Airlock } from './airlock.ts'
import { FIND_FOREIGN, TAR_SEAT } from './airlock-scripts.ts'
import type { Faults } from './durable.ts'
import { makePrivateDirectory, randomName, replaceFile, syncDirectory } from './durable.ts'
import { text } from './git.ts'
import type { LayerRecord } from './layer.ts'
import { seededPaths } from './layer-content.ts'
import { writtenBy } from './mounts.ts'
import { streamOf } from './stream.ts'

export interface TrashDeps {
  /** `<state_dir>/trash`. */
  readonly directory: string
  readonly airlock: Airlock
  readonly clock: Clock
  readonly retention: { readonly trash_days: number; readonly trash_bytes: number }
  readonly max_bytes: number
  readonly max_entries: number
  readonly faults: Faults
}

export interface TrashNote extends FinalSnapshot {
  readonly layer: LayerRecord
  readonly created_ms: number
  readonly keep_until_ms: number
}

/**
 * Writes what the agent wrote, layer and home, as `<mission>/<agent>.<layer id>.tar.zst`. The note beside it comes
 * last: an archive without one does not exist. null when there is nothing but what we seeded.
 */
export async function discardToTrash(
  deps: TrashDeps,
  { seat }: SeatLayer,
  record: LayerRecord,
  directory: string,
  abort: AbortSignal,
): Promise<FinalSnapshot | null> {
  const path = join(deps.directory, seat.mission_id, `${seat.agent_id}.${record.layer_id}.tar.zst`)
  const found = await readNote(`${path}.json`)
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

  await makePrivateDirectory(dirname(path))
  const archive = await writeArchive(deps, path, record, mounts, abort)
  const created_ms = deps.clock.now()
  const keep_until_ms = created_ms + deps.retention.trash_days * 86_400_000
  const note: TrashNote = {
    agent_id: seat.agent_id,
    path,
    ...archive,
    keep_until: isoTime(keep_until_ms),
    layer: record,
    created_ms,
    keep_until_ms,
  }
  deps.faults('trash.note')
  await replaceFile(`${path}.json`, `${JSON.stringify(note, null, 2)}\n`)
  return snapshotOf(note)
}

async function writeArchive(
  deps: TrashDeps,
  path: string,
  record: LayerRecord,
  mounts: Parameters<Airlock['pass']>[0]['mounts'],
  abort: AbortSignal,
) {
  const temporary = `${path}.${randomName()}.tmp`
  deps.faults('trash.write')
  const file = await open(temporary, 'wx', 0o600)
  try {
    const passage = {
      script: TAR_SEAT,
      args: [String(deps.max_entries), ...writtenBy(record.form)],
      mounts,
      unprivileged: false,
      long: true,
      abort,
    }
    const stream = streamOf((on_stdout) =>
      deps.airlock.pass(passage, { on_stdout, max_stdout_bytes: Number.MAX_SAFE_INTEGER }),
    )
    const hash = createHash('sha256')
    let bytes = 0
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        hash.update(chunk)
        bytes += chunk.length
        file.appendFile(chunk).then(() => done(), done)
      },
    })
    const zstd = createZstdCompress({
      params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
    })
    await pipeline(stream.chunks, capAt(deps.max_bytes), zstd, sink)
    const done = await stream.done
    if (done?.exit_code === 7) throw tooMuch(`more than ${deps.max_entries} entries`)
    if (done?.exit_code !== 0)
      throw new LazarusError('runtime_failed', `The layer could not be archived: ${done?.stderr.trim().slice(-1000)}`)
    await file.sync()
    deps.faults('trash.appear')
    await rename(temporary, path)
    await syncDirectory(dirname(path))
    return { bytes, sha256: hash.digest('hex') }
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  } finally {
    await file.close()
  }
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

export async function readNote(path: string): Promise<TrashNote | null> {
  const note = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  return note === null ? null : (JSON.parse(note) as TrashNote)
}

const snapshotOf = ({ agent_id, path, bytes, sha256, keep_until }: TrashNote): FinalSnapshot => ({
  agent_id,
  path,
  bytes,
  sha256,
  keep_until,
})
