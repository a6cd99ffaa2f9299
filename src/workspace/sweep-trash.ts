import { readdir, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { TrashNote, TrashPlace } from './trash-entry.ts'
import { readNote } from './trash-entry.ts'

/** Interrupted writes are left alone this long: one of them may be going on. */
export const UNFINISHED_MS = 3_600_000

/** Past its retention a file goes; within it only when all together are too large, the oldest first. */
export async function sweepTrash(place: TrashPlace): Promise<void> {
  const notes: TrashNote[] = []
  for (const mission of await readdir(place.directory).catch(() => [])) {
    notes.push(...(await notesOf(join(place.directory, mission), place.clock.now() - UNFINISHED_MS)))
  }
  let total = notes.reduce((sum, note) => sum + note.bytes, 0)
  for (const note of notes.toSorted((a, b) => a.created_ms - b.created_ms)) {
    if (note.keep_until_ms > place.clock.now() && total <= place.retention.trash_bytes) continue
    place.faults('trash.sweep')
    await rm(`${note.path}.json`, { force: true }) // first: a file without a note does not exist
    await rm(note.path, { force: true })
    await rmdir(dirname(note.path)).catch(() => {}) // when it was the last one
    total -= note.bytes
  }
}

/** Answers the notes of one mission, and deletes files that no note names and that nobody writes any more. */
async function notesOf(directory: string, unfinished_before_ms: number): Promise<readonly TrashNote[]> {
  const names = await readdir(directory)
  const noted = names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length))
  const found = await Promise.all(noted.map((name) => readNote(join(directory, name))))
  const notes = found.filter((note) => note !== null)
  const known = new Set(notes.flatMap((note) => [note.path, `${note.path}.json`]))
  for (const path of names.map((name) => join(directory, name)).filter((path) => !known.has(path))) {
    if ((await stat(path)).mtimeMs < unfinished_before_ms) await rm(path, { force: true })
  }
  return notes
}
