import { once } from 'node:events'
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { StreamReply } from './handler.ts'

/**
 * Pumps a stream to the client at the client's pace. The headers go out with the first byte, or one turn of the
 * event loop after the start: so an error that is known at once still gets its own status (this rejects), and a
 * silent stream is seen to be open. A later error becomes the last words.
 */
export async function pump(
  raw: ServerResponse,
  headers: OutgoingHttpHeaders,
  reply: StreamReply,
  abort: AbortSignal,
): Promise<void> {
  let begun = false
  const begin = () => {
    if (begun || raw.destroyed) return
    begun = true
    raw.writeHead(200, { ...headers, 'content-type': reply.media, 'x-accel-buffering': 'no' })
    raw.flushHeaders()
  }
  const opening = setImmediate(begin)
  const write = async (chunk: string | Uint8Array) => {
    abort.throwIfAborted()
    begin()
    if (chunk.length > 0 && !raw.write(chunk)) await once(raw, 'drain', { signal: abort })
  }
  try {
    await reply.run(write)
  } catch (error) {
    if (!begun) throw error
    if (reply.lastWords === null) return void raw.socket?.destroySoon()
    if (!raw.destroyed) raw.write(reply.lastWords(error))
  } finally {
    clearImmediate(opening)
  }
  begin()
  raw.end()
}
