import { rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { type DeadManMemory, deadManMemory } from '../contract/dead-man.ts'

/** Another look may be delivering an alert. */
const WAIT_MS = 60_000

/**
 * What looks leave for each other. Open from the reading to the writing, under a lock that the kernel drops with the
 * process: of two looks at once, the second one knows what the first one told to whom.
 */
export interface OpenMemory extends Disposable {
  readonly content: DeadManMemory | null
  /** false: it could not be kept, for example on a full disk. */
  keep(content: DeadManMemory): boolean
}

export function openMemory(path: string): OpenMemory {
  try {
    return open(path)
  } catch (error) {
    if (!isDamaged(error)) throw error
    rmSync(path, { force: true })
    return open(path)
  }
}

function open(path: string): OpenMemory {
  const db = new DatabaseSync(path, { timeout: WAIT_MS })
  try {
    db.exec('BEGIN IMMEDIATE')
    return { content: read(db), keep: (content) => keep(db, content), [Symbol.dispose]: () => db.close() }
  } catch (error) {
    db.close()
    throw error
  }
}

function read(db: DatabaseSync): DeadManMemory | null {
  const known = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'memory'").get()
  if (known === undefined) return null
  const row = db.prepare('SELECT content FROM memory').get()
  const parsed = deadManMemory.safeParse(JSON.parse(String(row?.content ?? 'null')))
  return parsed.success ? parsed.data : null
}

function keep(db: DatabaseSync, content: DeadManMemory): boolean {
  try {
    db.exec('CREATE TABLE IF NOT EXISTS memory (id INTEGER PRIMARY KEY CHECK (id = 1), content TEXT NOT NULL)')
    db.prepare('INSERT OR REPLACE INTO memory VALUES (1, ?)').run(JSON.stringify(content))
    db.exec('COMMIT')
    return true
  } catch {
    return false
  }
}

/** SQLite's CORRUPT and NOTADB: there is nothing to be had from it. */
const isDamaged = (error: unknown): boolean => [11, 26].includes(((error as { errcode?: number }).errcode ?? 0) & 0xff)
