export interface Frame {
  readonly stream: 'stdout' | 'stderr'
  readonly data: Uint8Array
}

const HEADER = 8

/**
 * Splits Docker's attach protocol (one byte of stream number, three of padding, four of length) into frames. Pulls:
 * a consumer that is slow holds the socket back. Parts of a frame are handed on as they come.
 */
export async function* frames(source: AsyncIterable<Uint8Array>): AsyncGenerator<Frame> {
  let head = Buffer.alloc(0)
  let stream: Frame['stream'] = 'stdout'
  let left = 0
  for await (const chunk of source) {
    let rest =
      head.length > 0 ? Buffer.concat([head, chunk]) : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    head = Buffer.alloc(0)
    while (rest.length > 0) {
      if (left === 0) {
        if (rest.length < HEADER) {
          head = Buffer.from(rest)
          break
        }
        stream = rest[0] === 2 ? 'stderr' : 'stdout'
        left = rest.readUInt32BE(4)
        rest = rest.subarray(HEADER)
      }
      const data = rest.subarray(0, left)
      left -= data.length
      rest = rest.subarray(data.length)
      if (data.length > 0) yield { stream, data }
    }
  }
}
