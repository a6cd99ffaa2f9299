import { rmSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Vitals } from '../domain/health.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { HeartbeatStore } from '../ports/heartbeat-store.ts'
import { GroupCommit, type Outcome } from './group-commit.ts'
import { ledgerError, makePrivate } from './sqlite-open.ts'

const SCHEMA_VERSION = 1

/** One row per agent and place, written over: the file stays as small as the fleet. */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS vitals (name TEXT PRIMARY KEY, vitals TEXT NOT NULL) STRICT, WITHOUT ROWID;
  PRAGMA user_version = ${SCHEMA_VERSION};
`
const PUT = 'INSERT INTO vitals (name, vitals) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET vitals = excluded.vitals'

/** null: the row goes. */
interface Change {
  readonly name: string
  readonly vitals: Vitals | null
}

const nameOf = (agent_id: string, mission_id: string | null): string => `${mission_id ?? ''}/${agent_id}`

class SqliteHeartbeats implements HeartbeatStore {
  readonly #path: string
  readonly #db: DatabaseSync
  readonly #put: StatementSync
  readonly #remove: StatementSync
  readonly #changes = new GroupCommit<Change, void>((changes) => this.#commit(changes))
  #closed = false

  constructor(path: string, db: DatabaseSync) {
    this.#path = path
    this.#db = db
    this.#put = db.prepare(PUT)
    this.#remove = db.prepare('DELETE FROM vitals WHERE name = ?')
  }

  put(vitals: Vitals): Promise<void> {
    return this.#submit({ name: nameOf(vitals.agent_id, vitals.mission_id), vitals })
  }

  remove(agent_id: string, mission_id: string | null): Promise<void> {
    return this.#submit({ name: nameOf(agent_id, mission_id), vitals: null })
  }

  all(): readonly Vitals[] {
    const rows = this.#db.prepare('SELECT vitals FROM vitals ORDER BY name').all()
    return rows.map((row) => JSON.parse(String(row.vitals)) as Vitals)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#changes.drain()
    this.#closed = true
    this.#db.close()
  }

  #submit(change: Change): Promise<void> {
    if (this.#closed) return Promise.reject(new LazarusError('shutting_down', 'The heartbeat store is closed'))
    return this.#changes.submit(change)
  }

  /** The last word on each name is all that is written. */
  #commit(changes: readonly Change[]): Outcome<void>[] {
    try {
      this.#db.exec('BEGIN IMMEDIATE')
      for (const { name, vitals } of new Map(changes.map((change) => [change.name, change])).values()) {
        if (vitals === null) this.#remove.run(name)
        else this.#put.run(name, JSON.stringify(vitals))
      }
      this.#db.exec('COMMIT')
      return changes.map(() => ({ ok: true, result: undefined }))
    } catch (cause) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      const error = ledgerError(cause, this.#path)
      return changes.map(() => ({ ok: false, error }))
    }
  }
}

export interface HeartbeatStoreOptions {
  readonly path: string
  readonly log: Log
  /** Bounds the file, in pages of 4 KiB. Default: the disk. */
  readonly max_pages?: number
}

/**
 * Opens or makes the file. The lock on the ledger keeps a second pit away. A file that is damaged, or of another
 * version, is begun anew: it holds what the next heartbeats will say again, and is no reason not to start.
 */
export function createHeartbeatStore({ path, log, max_pages }: HeartbeatStoreOptions): HeartbeatStore {
  try {
    return open(path, max_pages)
  } catch (error) {
    log.warn({ path, message: (error as Error).message }, 'the last heartbeats cannot be read; they begin anew')
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true })
    return open(path, max_pages)
  }
}

function open(path: string, max_pages: number | undefined): HeartbeatStore {
  makePrivate(path)
  const db = new DatabaseSync(path, { timeout: 0 })
  try {
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    const version = Number(db.prepare('PRAGMA user_version').get()?.user_version)
    if (version > SCHEMA_VERSION) throw new Error(`it has schema version ${version}`)
    db.exec(SCHEMA)
    if (max_pages !== undefined) db.exec(`PRAGMA max_page_count = ${Math.trunc(max_pages)}`)
    const store = new SqliteHeartbeats(path, db)
    store.all()
    return store
  } catch (error) {
    db.close()
    throw error
  }
}
