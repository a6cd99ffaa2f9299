import type { DomainEvent, RecordedEvent } from '../contract/event.ts'
import { LazarusError } from '../kernel/errors.ts'

/** An event as both ledgers keep it: `data` as text, so that nobody shares an object with the ledger. */
export interface EventRow {
  readonly seq: number
  readonly at: string
  readonly mission_id: string
  readonly version: number
  readonly agent_id: string | null
  readonly type: string
  readonly data: string
}

/** What an append asks for, made text before it queues: an event that JSON cannot hold fails its own caller only. */
export interface AppendRequest {
  readonly mission_id: string
  readonly expected_version: number
  readonly events: readonly PreparedEvent[]
}
type PreparedEvent = Pick<EventRow, 'agent_id' | 'type' | 'data'>

export const prepareAppend = (
  mission_id: string,
  expected_version: number,
  events: readonly DomainEvent[],
): AppendRequest => ({
  mission_id,
  expected_version,
  events: events.map(({ agent_id, type, data }) => ({ agent_id, type, data: JSON.stringify(data) })),
})

/** The rows of an append that comes after event `head` of the ledger and `version` of its mission. */
export function rowsOf(request: AppendRequest, head: number, version: number, at: string): EventRow[] {
  const { mission_id, expected_version, events } = request
  if (version !== expected_version) {
    const message = `Mission ${mission_id} is at version ${version}, expected ${expected_version}`
    throw new LazarusError('conflict', message, { details: { mission_id, version, expected_version } })
  }
  return events.map((event, i) => ({ seq: head + i + 1, at, mission_id, version: version + i + 1, ...event }))
}

export function eventOf(row: EventRow): RecordedEvent {
  try {
    return { ...row, data: JSON.parse(row.data) } as RecordedEvent
  } catch (cause) {
    throw new LazarusError('ledger_unusable', `Event ${row.seq} of the ledger is damaged: its data is no JSON`, {
      cause,
    })
  }
}
