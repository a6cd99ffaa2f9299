import { readFile, rename, rm, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Writable } from 'node:stream'
import type { Clock } from '../kernel/clock.ts'
import { isoTime } from '../kernel/clock.ts'
import type { Faults } from './durable.ts'
import { makePrivateDirectory, randomName, replaceFile, syncDirectory } from './durable.ts'
import { HashedFile } from './hashed-file.ts'

export interface TrashPlace {
  /** `<state_dir>/trash`. */
  readonly directory: string
  readonly clock: Clock
  readonly retention: { readonly trash_days: number; readonly trash_bytes: number }
  readonly faults: Faults
}

/** What stands in the `.json` beside each file of the trash. */
export interface TrashNote {
  readonly path: string
  readonly bytes: number
  readonly sha256: string
  readonly keep_until: string
  readonly created_ms: number
  readonly keep_until_ms: number
}

/** The part of a note that reports hand on. */
export const reported = <F extends object>({ created_ms: _, keep_until_ms: __, ...shown }: TrashNote & F) => shown

/** null: there is no whole file at this path. */
export async function readNote<F extends object>(path: string): Promise<(TrashNote & F) | null> {
  const note = await readFile(`${path}.json`, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  return note === null ? null : (JSON.parse(note) as TrashNote & F)
}

export interface TrashFile<F extends object> {
  readonly path: string
  /** What the note says beyond the file itself. */
  readonly facts: F
  /** Prefix of the fault points. */
  readonly step: string
  /** Writes the content and ends the sink; false: there is nothing to keep. */
  readonly fill: (sink: Writable) => Promise<boolean>
}

/**
 * Writes a file of the trash, then the note beside it: a file without a note does not exist. Both are durable when
 * this resolves, and appear under their names whole or not at all. null: there was nothing to keep.
 */
export async function writeToTrash<F extends object>(
  place: TrashPlace,
  file: TrashFile<F>,
): Promise<(TrashNote & F) | null> {
  const content = await writeContent(place, file)
  if (content === null) {
    await rmdir(dirname(file.path)).catch(() => {}) // not when something else of the mission is in it
    return null
  }
  const created_ms = place.clock.now()
  const keep_until_ms = created_ms + place.retention.trash_days * 86_400_000
  const note = {
    ...file.facts,
    path: file.path,
    ...content,
    keep_until: isoTime(keep_until_ms),
    created_ms,
    keep_until_ms,
  }
  place.faults(`${file.step}.note`)
  await replaceFile(`${file.path}.json`, `${JSON.stringify(note, null, 2)}\n`)
  return note
}

async function writeContent<F extends object>({ faults }: TrashPlace, { path, step, fill }: TrashFile<F>) {
  const temporary = `${path}.${randomName()}.tmp`
  faults(`${step}.write`)
  const file = await createIn(dirname(path), temporary)
  try {
    if (!(await fill(file.sink()))) {
      await rm(temporary)
      return null
    }
    await file.sync()
    faults(`${step}.appear`)
    await rename(temporary, path)
    await syncDirectory(dirname(path))
    return file.content()
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

/** The directory of a mission goes with its last file, so another seat, or a sweep, may take it away just now. */
async function createIn(directory: string, path: string, attempts = 5): Promise<HashedFile> {
  try {
    await makePrivateDirectory(directory)
    return await HashedFile.create(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempts === 0) throw error
    return createIn(directory, path, attempts - 1)
  }
}
