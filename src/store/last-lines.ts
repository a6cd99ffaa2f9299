const NEWLINE = 10

/** The last `count` lines (infinity: all) of what came before the `null` mark, then everything after it as it comes. */
export async function* lastLines(chunks: AsyncIterable<Uint8Array | null>, count: number): AsyncIterable<Uint8Array> {
  let past: Uint8Array | null = new Uint8Array()
  for await (const chunk of chunks) {
    if (chunk === null) {
      if (past && past.length > 0) yield past
      past = null
    } else if (past === null || count === Number.POSITIVE_INFINITY) {
      yield chunk
    } else {
      past = tailOf(Buffer.concat([past, chunk]), count)
    }
  }
  if (past && past.length > 0) yield past
}

function tailOf(text: Buffer, count: number): Buffer {
  if (count === 0) return Buffer.alloc(0)
  let from = text.length - (text.at(-1) === NEWLINE ? 1 : 0)
  for (let seen = 0; seen < count; seen++) {
    from = from <= 0 ? -1 : text.lastIndexOf(NEWLINE, from - 1)
    if (from === -1) return text
  }
  return text.subarray(from + 1)
}
