import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { frames } from '../../../src/drivers/podman/frames.ts'

type Part = { readonly stream: 'stdout' | 'stderr'; readonly data: Uint8Array }

function encode({ stream, data }: Part): Buffer {
  const head = Buffer.alloc(8)
  head[0] = stream === 'stdout' ? 1 : 2
  head.writeUInt32BE(data.length, 4)
  return Buffer.concat([head, data])
}

async function* cut(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, n = 0; at < bytes.length; n += 1) {
    const size = sizes[n % sizes.length]!
    yield bytes.subarray(at, at + size)
    at += size
  }
}

const part = fc.record({
  stream: fc.constantFrom('stdout' as const, 'stderr' as const),
  data: fc.uint8Array({ maxLength: 40 }),
})

describe('frames', () => {
  it('gives back both streams, however the bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(part),
        fc.array(fc.integer({ min: 1, max: 13 }), { minLength: 1 }),
        async (parts, sizes) => {
          const got = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] }
          for await (const frame of frames(cut(Buffer.concat(parts.map(encode)), sizes)))
            got[frame.stream].push(frame.data)
          for (const stream of ['stdout', 'stderr'] as const) {
            const sent = parts.filter((sent) => sent.stream === stream).map(({ data }) => data)
            expect(Buffer.concat(got[stream])).toEqual(Buffer.concat(sent))
          }
        },
      ),
    )
  })

  it('hands a large frame on in parts, without waiting for its end', async () => {
    const bytes = encode({ stream: 'stdout', data: new Uint8Array(100) })
    const sizes: number[] = []
    for await (const { data } of frames(cut(bytes, [30]))) sizes.push(data.length)
    expect(sizes).toEqual([22, 30, 30, 18])
  })
})
