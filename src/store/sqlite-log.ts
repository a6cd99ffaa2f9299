import type { DatabaseSync } from 'node:sqlite'
import type { DomainEvent, RecordedEvent } from '../contract/event.ts'
import { type Clock, isoTime } from '../kernel/clock.ts'
import { isLazarusError, LazarusError } from '../kernel/errors.ts'
import type { EventLog, Pulse, ReadOptions } from '../ports/event-log.ts'
import { type AppendRequest, type EventRow, eventOf, prepareAppend, rowsOf } from './event-row.ts'
import { Arrivals, followLog } from './follow-log.ts'
import { GroupCommit, type Outcome } from './group-commit.ts'
import { SqliteEvents } from './sqlite-events.ts'
import { ledgerError, openLedger } from './sqlite-open.ts'

/** Rows per query of a read: no statement stays open between two, so a reader never holds up a commit. */
const PAGE = 500

type Appended = readonly EventRow[]

/** The ledger on SQLite: one writer, group commit, answered after COMMIT. */
class SqliteLog implements EventLog, Pulse {
  readonly #path: string
  readonly #clock: Clock
  readonly #db: DatabaseSync
  readonly #events: SqliteEvents
  readonly #appends = new GroupCommit<AppendRequest, Appended>((requests) => this.#commit(requests))
  readonly #arrivals = new Arrivals()
  #head: number

  constructor(path: string, clock: Clock, db: DatabaseSync) {
    this.#path = path
    this.#clock = clock
    this.#db = db
    this.#events = new SqliteEvents(db)
    this.#head = this.#events.head()
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

  /** The version is written over itself: a commit like every other, which adds nothing to the ledger. */
  async pulse(): Promise<void> {
    try {
      const { user_version } = this.#db.prepare('PRAGMA user_version').get() ?? {}
      this.#db.exec(`BEGIN IMMEDIATE; PRAGMA user_version = ${Number(user_version)}; COMMIT`)
      this.#events.head()
    } catch (error) {
      if (this.#db.isOpen && this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw ledgerError(error, this.#path)
    }
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
      for (const outcome of outcomes) if (outcome.ok) this.#head += outcome.result.length
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
        const position = this.#events.position(request.mission_id)
        const rows = rowsOf(request, head, position.version, at)
        this.#events.add(rows, position)
        head += rows.length
        return { ok: true, result: rows }
      } catch (error) {
        // A conflict is thrown before the first insert and concerns this append alone.
        if (isLazarusError(error)) return { ok: false, error }
        throw error
      }
    })
  }

  #page(options: ReadOptions, after: number, until: number, limit: number): EventRow[] {
    if (this.#arrivals.closed) throw new LazarusError('shutting_down', 'The ledger is closed')
    try {
      return this.#events.page(options, after, until, limit)
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
export function createSqliteLog({ path, clock, max_pages }: SqliteLogOptions): EventLog & Pulse {
  const db = openLedger(path)
  try {
    if (max_pages !== undefined) db.exec(`PRAGMA max_page_count = ${Math.trunc(max_pages)}`)
    return new SqliteLog(path, clock, db)
  } catch (error) {
    db.close()
    throw ledgerError(error, path)
  }
}
