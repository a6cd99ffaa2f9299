import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { DomainEvent, RecordedEvent } from '../contract/event.ts'
import { type Clock, isoTime } from '../kernel/clock.ts'
import { isLazarusError, LazarusError } from '../kernel/errors.ts'
import type { EventLog, ReadOptions } from '../ports/event-log.ts'
import { type AppendRequest, type EventRow, eventOf, prepareAppend, rowsOf } from './event-row.ts'
import { Arrivals, followLog } from './follow-log.ts'
import { GroupCommit, type Outcome } from './group-commit.ts'
import { ledgerError, openLedger } from './sqlite-open.ts'

/** Rows per query of a read: no statement stays open between two, so a reader never holds up a commit. */
const PAGE = 500

const INSERT = 'INSERT INTO events (seq, at, mission_id, version, agent_id, type, data) VALUES (?, ?, ?, ?, ?, ?, ?)'
const VERSION = 'SELECT version FROM events WHERE mission_id = ? ORDER BY seq DESC LIMIT 1'
const HEAD = 'SELECT coalesce(max(seq), 0) AS head FROM events'

function selectPage(mission: boolean, types: boolean): string {
  const conditions = ['seq > :after', 'seq <= :until']
  if (mission) conditions.push('mission_id = :mission_id')
  if (types) conditions.push('type IN (SELECT value FROM json_each(:types))')
  return `SELECT * FROM events WHERE ${conditions.join(' AND ')} ORDER BY seq LIMIT :limit`
}

type Appended = readonly EventRow[]

/** The ledger on SQLite: one writer, group commit, answered after COMMIT. */
class SqliteLog implements EventLog {
  readonly #path: string
  readonly #clock: Clock
  readonly #db: DatabaseSync
  readonly #insert: StatementSync
  readonly #version: StatementSync
  readonly #pages = new Map<string, StatementSync>()
  readonly #appends = new GroupCommit<AppendRequest, Appended>((requests) => this.#commit(requests))
  readonly #arrivals = new Arrivals()
  #head: number

  constructor(path: string, clock: Clock, db: DatabaseSync) {
    this.#path = path
    this.#clock = clock
    this.#db = db
    this.#insert = db.prepare(INSERT)
    this.#version = db.prepare(VERSION)
    this.#head = Number(db.prepare(HEAD).get()!['head'])
  }

  async append(mission_id: string, expected_version: number, events: readonly DomainEvent[]) {
    if (this.#arrivals.closed) throw new LazarusError('shutting_down', 'The ledger is closed')
    const rows = await this.#appends.submit(prepareAppend(mission_id, expected_version, events))
    return rows.map(eventOf)
  }

  *read(options: ReadOptions = {}): Generator<RecordedEvent> {
    const until = this.#head
    let after = options.after ?? 0
    let left = options.limit ?? Number.POSITIVE_INFINITY
    while (left > 0 && after < until) {
      const limit = Math.min(left, PAGE)
      const rows = this.#page(options, after, until, limit)
      yield* rows.map(eventOf)
      if (rows.length < limit) return
      after = rows.at(-1)!.seq
      left -= rows.length
    }
  }

  follow(options: ReadOptions, abort: AbortSignal): AsyncIterable<RecordedEvent> {
    return followLog(this, this.#arrivals, options, abort)
  }

  head(): number {
    return this.#head
  }

  /** Commits what is queued, ends every follower, gives the lock back. */
  async close(): Promise<void> {
    if (this.#arrivals.closed) return
    this.#appends.drain()
    this.#arrivals.close()
    this.#db.close()
  }

  /** All or none of a batch becomes durable. When it fails, each append is tried alone, so that only the guilty fail. */
  #commit(requests: readonly AppendRequest[]): Outcome<Appended>[] {
    try {
      this.#db.exec('BEGIN IMMEDIATE')
      const outcomes = this.#insertAll(requests)
      this.#db.exec('COMMIT')
      this.#head = outcomes.reduce((head, outcome) => (outcome.ok ? outcome.result.at(-1)?.seq : undefined) ?? head, this.#head)
      this.#arrivals.announce()
      return outcomes
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      if (requests.length > 1) return requests.flatMap((request) => this.#commit([request]))
      return [{ ok: false, error: ledgerError(error, this.#path) }]
    }
  }

  #insertAll(requests: readonly AppendRequest[]): Outcome<Appended>[] {
    const at = isoTime(this.#clock.now())
    let head = this.#head
    return requests.map((request) => {
      try {
        const version = this.#version.get(request.mission_id)?.['version'] ?? 0
        const rows = rowsOf(request, head, Number(version), at)
        for (const r of rows) this.#insert.run(r.seq, r.at, r.mission_id, r.version, r.agent_id, r.type, r.data)
        head += rows.length
        return { ok: true, result: rows }
      } catch (error) {
        // A conflict is thrown before the first insert and concerns this append alone.
        if (isLazarusError(error)) return { ok: false, error }
        throw error
      }
    })
  }

  #page({ mission_id, types }: ReadOptions, after: number, until: number, limit: number): EventRow[] {
    if (this.#arrivals.closed) throw new LazarusError('shutting_down', 'The ledger is closed')
    const sql = selectPage(mission_id !== undefined, types !== undefined)
    const statement = this.#pages.get(sql) ?? this.#db.prepare(sql)
    this.#pages.set(sql, statement)
    try {
      return statement.all({
        after,
        until,
        limit,
        ...(mission_id !== undefined && { mission_id }),
        ...(types !== undefined && { types: JSON.stringify(types) }),
      }) as unknown as EventRow[]
    } catch (error) {
      throw ledgerError(error, this.#path)
    }
  }
}

export interface SqliteLogOptions {
  readonly path: string
  readonly clock: Clock
  /** Bounds the file, in pages of 4 KiB. Default: the disk. */
  readonly max_pages?: number
}

/** Opens or makes the ledger. Throws pit_already_running when another process has it, ledger_unusable when it is damaged. */
export function createSqliteLog({ path, clock, max_pages }: SqliteLogOptions): EventLog {
  const db = openLedger(path)
  try {
    if (max_pages !== undefined) db.exec(`PRAGMA max_page_count = ${Math.trunc(max_pages)}`)
    return new SqliteLog(path, clock, db)
  } catch (error) {
    db.close()
    throw ledgerError(error, path)
  }
}
