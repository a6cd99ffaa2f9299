import { rmSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Vitals } from '../domain/health.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { HeartbeatStore } from '../ports/heartbeat-store.ts'
import { GroupCommit, type Outcome } from './group-commit.ts'
import { ledgerError, makePrivate } from './sqlite-open.ts'

const SCHEMA_VERSION = 1

/**
 * One row per agent and place, written over: the file stays as small as the fleet. What every heartbeat changes, its
 * time, lies in a table of its own, where a thousand agents fit into a few pages: a commit writes whole pages, and with
 * all in one table one of 256 heartbeats took twice as long (measured).
 */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS vitals (number INTEGER PRIMARY KEY, vitals TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS beats (number INTEGER PRIMARY KEY, at REAL) STRICT;
  PRAGMA user_version = ${SCHEMA_VERSION};
`
const PUT = 'INSERT INTO vitals VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET vitals = excluded.vitals'
const BEAT = 'INSERT INTO beats VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET at = excluded.at'
const ALL = 'SELECT number, vitals, at FROM vitals JOIN beats USING (number) ORDER BY number'

/** null: the row goes. */
interface Change {
  readonly name: string
  readonly vitals: Vitals | null
}

/** Where the vitals of a name are, and all of them but the last heartbeat as they were written. */
interface Row {
  readonly number: number
  readonly text: string
}

const nameOf = (agent_id: string, mission_id: string | null): string => `${mission_id ?? ''}/${agent_id}`

class SqliteHeartbeats implements HeartbeatStore {
  readonly #path: string
  readonly #db: DatabaseSync
  readonly #put: StatementSync
  readonly #beat: StatementSync
  readonly #rows = new Map<string, Row>()
  #next = 1
  readonly #changes = new GroupCommit<Change, void>((changes) => this.#commit(changes))
  #closed = false

  constructor(path: string, db: DatabaseSync) {
    this.#path = path
    this.#db = db
    this.#put = db.prepare(PUT)
    this.#beat = db.prepare(BEAT)
    for (const { number, text, vitals } of this.#read()) {
      this.#rows.set(nameOf(vitals.agent_id, vitals.mission_id), { number, text })
      this.#next = number + 1
    }
  }

  put(vitals: Vitals): Promise<void> {
    return this.#submit({ name: nameOf(vitals.agent_id, vitals.mission_id), vitals })
  }

  remove(agent_id: string, mission_id: string | null): Promise<void> {
    return this.#submit({ name: nameOf(agent_id, mission_id), vitals: null })
  }

  all(): readonly Vitals[] {
    return this.#read().map(({ vitals }) => vitals)
  }

  #read(): readonly (Row & { readonly vitals: Vitals })[] {
    return this.#db
      .prepare(ALL)
      .all()
      .map((row) => {
        const text = String(row.vitals)
        const vitals = { ...JSON.parse(text), last_heartbeat: row.at } as Vitals
        return { number: Number(row.number), text, vitals }
      })
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
      const last = new Map(changes.map((change) => [change.name, change]))
      const written = [...last.values()].map((change) => this.#write(change))
      this.#db.exec('COMMIT')
      for (const [name, row] of written) row === null ? this.#rows.delete(name) : this.#rows.set(name, row)
      return changes.map(() => ({ ok: true, result: undefined }))
    } catch (cause) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      const error = ledgerError(cause, this.#path, 'file of heartbeats')
      return changes.map(() => ({ ok: false, error }))
    }
  }

  #write({ name, vitals }: Change): readonly [name: string, row: Row | null] {
    const before = this.#rows.get(name)
    if (vitals === null) {
      for (const table of ['vitals', 'beats'])
        this.#db.prepare(`DELETE FROM ${table} WHERE number = ?`).run(before?.number ?? 0)
      return [name, null]
    }
    const { last_heartbeat, ...rest } = vitals
    const text = JSON.stringify(rest)
    const row = before?.text === text ? before : { number: before?.number ?? this.#next++, text }
    if (row !== before) this.#put.run(row.number, row.text)
    this.#beat.run(row.number, last_heartbeat)
    return [name, row]
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
