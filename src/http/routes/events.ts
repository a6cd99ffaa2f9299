import { domainEvent, type RecordedEvent } from '../../contract/event.ts'
import { LazarusError } from '../../kernel/errors.ts'
import type { ReadOptions } from '../../ports/event-log.ts'
import { type SomeHandlers, StreamReply } from '../handler.ts'

const DEFAULT_LIMIT = 1000
const HEARTBEAT_MS = 15_000
const TYPES: ReadonlySet<string> = new Set(domainEvent.options.map((option) => option.shape.type.value))

export const eventHandlers: SomeHandlers<'events'> = {
  events: async ({ app, query, abort, wants_stream, last_event_id }) => {
    const filter: ReadOptions = {
      after: last_event_id === undefined ? (query.after ?? 0) : sequence(last_event_id),
      ...(query.mission_id === undefined ? {} : { mission_id: query.mission_id }),
      ...(query.types === undefined ? {} : { types: typesOf(query.types) }),
    }
    if (wants_stream || query.follow) return serverSentEvents(app.followEvents(filter, abort))
    const limit = query.limit ?? DEFAULT_LIMIT
    const events = app.readEvents({ ...filter, limit })
    const last = events.at(-1)
    return { events, next: events.length === limit && last !== undefined ? String(last.seq) : null }
  },
}

/** The comment at the start shows that the stream is open, those every 15 s that it still is. */
function serverSentEvents(events: AsyncIterable<RecordedEvent>): StreamReply {
  return new StreamReply('text/event-stream', async (write) => {
    await write(': open\n\n')
    const heartbeat = setInterval(() => void write(': alive\n\n').catch(() => {}), HEARTBEAT_MS)
    try {
      for await (const event of events)
        await write(`id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    } finally {
      clearInterval(heartbeat)
    }
  })
}

function sequence(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new LazarusError(
    'invalid_request',
    `Invalid header: Last-Event-ID: expected the sequence of an event, received ${JSON.stringify(text.slice(0, 120))}`,
  )
}

function typesOf(text: string): readonly string[] {
  const types = text.split(',').map((type) => type.trim())
  const unknown = types.find((type) => !TYPES.has(type))
  if (unknown === undefined) return types
  throw new LazarusError(
    'invalid_request',
    `Invalid query: types: expected event types, received ${JSON.stringify(unknown.slice(0, 120))}`,
    {
      remedy: `The types are: ${[...TYPES].join(', ')}`,
    },
  )
}
