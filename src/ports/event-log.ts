import type { DomainEvent, RecordedEvent } from '../contract/event.ts'

export interface ReadOptions {
  /** Only events with a higher sequence. Default 0. */
  readonly after?: number
  readonly mission_id?: string
  readonly types?: readonly string[]
  readonly limit?: number
}

/** What a watchdog asks: resolves when one durable write was made and read back; rejects when the ledger says why not. */
export interface Pulse {
  pulse(): Promise<void>
}

/**
 * The ledger: append-only, one total order, one stream per mission. `append` resolves when the events are
 * durable; concurrent appends share one commit. A wrong `expected_version` is a `conflict` and appends nothing.
 */
export interface EventLog {
  append(
    mission_id: string,
    expected_version: number,
    events: readonly DomainEvent[],
  ): Promise<readonly RecordedEvent[]>
  read(options?: ReadOptions): Iterable<RecordedEvent>
  /** Past events after `after`, then each new one as it becomes durable, in order, none missed, none twice. Ends on abort. */
  follow(options: ReadOptions, abort: AbortSignal): AsyncIterable<RecordedEvent>
  /** Sequence of the newest durable event; 0 when there is none. */
  head(): number
  close(): Promise<void>
}
