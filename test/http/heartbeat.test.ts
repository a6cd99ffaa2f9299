import { once } from 'node:events'
import { afterEach, expect, test, vi } from 'vitest'
import type { StreamReply } from '../../src/http/handler.ts'
import { eventHandlers } from '../../src/http/routes/events.ts'
import { applicationOf, eventOf } from './stage.ts'

afterEach(() => void vi.useRealTimers())

test('a silent stream of events shows every 15 seconds that it lives, and stops when it ends', async () => {
  vi.useFakeTimers()
  const left = new AbortController()
  const app = applicationOf([], {
    async *followEvents(_options, abort) {
      yield eventOf(1)
      await once(abort, 'abort')
    },
  })
  const reply = await eventHandlers.events({
    app,
    params: undefined,
    query: { follow: true },
    body: undefined,
    principal: { kind: 'operator', via: 'socket' },
    abort: left.signal,
    wants_stream: true,
    last_event_id: undefined,
    request_id: 'r',
  })
  const written: string[] = []
  const done = (reply as StreamReply).run(async (chunk) => void written.push(String(chunk)))
  await vi.advanceTimersByTimeAsync(44_000)
  expect(written.map((chunk) => chunk.split('\n')[0])).toEqual([': open', 'id: 1', ': alive', ': alive'])
  left.abort()
  await done
  expect(vi.getTimerCount()).toBe(0)
})
