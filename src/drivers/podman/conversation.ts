import type { Duplex } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import type { ExecSpec } from '../../ports/cell-driver.ts'

/** So much is read ahead of a slow consumer; then the socket is held back. */
const READ_AHEAD = 256 * 1024

/**
 * What arrives on the stream until it ends or breaks. A break is an end too: the API closes on a command that left its
 * stdin unread, and our next write fails. What had arrived is not lost by that, and the exit code is asked for after.
 */
export async function* receive(stream: Duplex): AsyncGenerator<Uint8Array> {
  const queue: Uint8Array[] = []
  let [bytes, ended] = [0, false]
  let wake = () => {}
  const end = () => {
    ended = true
    wake()
  }
  stream.on('data', (chunk: Uint8Array) => {
    queue.push(chunk)
    bytes += chunk.length
    if (bytes > READ_AHEAD) stream.pause()
    wake()
  })
  for (const event of ['end', 'close', 'error'] as const) stream.on(event, end)
  if (stream.destroyed) end()
  for (;;) {
    const chunk = queue.shift()
    if (chunk) {
      bytes -= chunk.length
      if (bytes <= READ_AHEAD && stream.isPaused()) stream.resume()
      yield chunk
    } else if (ended) return
    else await new Promise<void>((go) => (wake = go))
  }
}

/**
 * Writes stdin and half-closes. A failed write destroys the socket with what is still unread in it, so each write waits
 * until there is nothing to read: what the command said before it stopped listening is in the queue by then.
 */
export async function feed(stream: Duplex, stdin: ExecSpec['stdin']): Promise<void> {
  stream.on('error', () => stream.destroy())
  if (stdin === null) return void stream.end()
  const closed = new Promise<void>((resolve) => stream.once('close', resolve))
  const calm = async () => {
    if (stream.isPaused()) await Promise.race([new Promise<void>((go) => stream.once('resume', go)), closed])
    await setImmediate()
  }
  for await (const chunk of stdin instanceof Uint8Array ? slices(stdin) : stdin) {
    await calm()
    if (stream.destroyed) return
    if (!stream.write(chunk)) await Promise.race([new Promise<void>((go) => stream.once('drain', go)), closed])
  }
  if (!stream.destroyed) stream.end()
}

const SLICE = 64 * 1024

function* slices(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += SLICE) yield bytes.subarray(at, at + SLICE)
}
