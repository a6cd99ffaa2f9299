import type { DomainEvent, RecordedEvent } from '../contract/event.ts'
import { type Clock, isoTime } from '../kernel/clock.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { EventLog, ReadOptions } from '../ports/event-log.ts'
import { type EventRow, eventOf, prepareAppend, rowsOf } from './event-row.ts'
import { Arrivals, followLog } from './follow-log.ts'

/** The ledger without a disk, for tests and for a pit that shall forget. Same promises but durability. */
class MemoryLog implements EventLog {
  readonly #clock: Clock
  readonly #rows: EventRow[] = []
  readonly #versions = new Map<string, number>()
  readonly #arrivals = new Arrivals()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async append(mission_id: string, expected_version: number, events: readonly DomainEvent[]) {
    if (this.#arrivals.closed) throw new LazarusError('shutting_down', 'The ledger is closed')
    const request = prepareAppend(mission_id, expected_version, events)
    const rows = rowsOf(request, this.head(), this.#versions.get(mission_id) ?? 0, isoTime(this.#clock.now()))
    this.#rows.push(...rows)
    this.#versions.set(mission_id, expected_version + rows.length)
    this.#arrivals.announce()
    return rows.map(eventOf)
  }

  *read(options: ReadOptions = {}): Generator<RecordedEvent> {
    const { after = 0, mission_id, types, limit = Number.POSITIVE_INFINITY } = options
    const head = this.head()
    let left = limit
    // Sequences are 1, 2, 3, …: event n stands at index n - 1.
    for (let i = after; i < head && left > 0; i += 1) {
      const row = this.#rows[i]!
      if (mission_id !== undefined && row.mission_id !== mission_id) continue
      if (types !== undefined && !types.includes(row.type)) continue
      left -= 1
      yield eventOf(row)
    }
  }

  follow(options: ReadOptions, abort: AbortSignal): AsyncIterable<RecordedEvent> {
    return followLog(this, this.#arrivals, options, abort)
  }

  head(): number {
    return this.#rows.length
  }

  async close(): Promise<void> {
    this.#arrivals.close()
  }
}

export const createMemoryLog = ({ clock }: { readonly clock: Clock }): EventLog => new MemoryLog(clock)
