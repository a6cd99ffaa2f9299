/** Cuts a stream of bytes into NUL-ended records. Holds one record at most between two chunks. */
export class RecordCutter {
  #rest: Buffer = Buffer.alloc(0)

  /** Whether the stream stopped inside a record. */
  get torn(): boolean {
    return this.#rest.length > 0
  }

  /** The whole records that this chunk completes, without their NUL. */
  *cut(chunk: Uint8Array): Generator<Buffer> {
    const bytes = this.#rest.length === 0 ? asBuffer(chunk) : Buffer.concat([this.#rest, chunk])
    let from = 0
    for (let end = bytes.indexOf(0); end !== -1; end = bytes.indexOf(0, from)) {
      yield bytes.subarray(from, end)
      from = end + 1
    }
    // A copy: the rest must not keep the whole chunk alive.
    this.#rest = Buffer.from(bytes.subarray(from))
  }
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
