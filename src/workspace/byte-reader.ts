/** Reads a stream in parts: a line, some bytes, the rest. What is short is the end of the stream. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>
  #held: Buffer = Buffer.alloc(0)

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  /** Without its newline; one that is longer than `most` is cut. */
  async line(most: number): Promise<string> {
    while (!this.#held.includes(10) && this.#held.length <= most && (await this.#more())) {}
    const end = this.#held.indexOf(10)
    const length = Math.min(end < 0 ? this.#held.length : end, most)
    const line = this.#held.toString('latin1', 0, length)
    this.#held = this.#held.subarray(length + 1)
    return line
  }

  async bytes(count: number): Promise<Buffer> {
    while (this.#held.length < count && (await this.#more())) {}
    const taken = this.#held.subarray(0, count)
    this.#held = this.#held.subarray(taken.length)
    return taken
  }

  async *rest(): AsyncGenerator<Uint8Array> {
    try {
      if (this.#held.length > 0) yield this.#held
      for (let next = await this.#chunks.next(); !next.done; next = await this.#chunks.next()) yield next.value
    } finally {
      await this.leave()
    }
  }

  /** Wants no more: what writes the stream is told. */
  async leave(): Promise<void> {
    await this.#chunks.return?.()
  }

  async #more(): Promise<boolean> {
    const next = await this.#chunks.next()
    if (!next.done) this.#held = Buffer.concat([this.#held, next.value])
    return !next.done
  }
}
