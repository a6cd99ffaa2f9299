/** Reads a stream in parts: up to some byte, then the rest. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>
  #held: Buffer = Buffer.alloc(0)

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  /** Up to the byte `end`, without it; null when that does not come within `most` bytes. */
  async until(end: number, most: number): Promise<Buffer | null> {
    for (let seen = 0; ; ) {
      const at = this.#held.indexOf(end, seen)
      if (at >= 0) {
        const part = this.#held.subarray(0, at)
        this.#held = this.#held.subarray(at + 1)
        return at <= most ? part : null
      }
      seen = this.#held.length
      if (seen > most || !(await this.#more())) return null
    }
  }

  /** In pieces, up to the bytes of `mark`, without them; answers whether they came. */
  async *pieces(mark: Buffer): AsyncGenerator<Buffer, boolean> {
    for (;;) {
      const at = this.#held.indexOf(mark)
      const sure = at >= 0 ? at : Math.max(0, this.#held.length - mark.length + 1)
      const piece = this.#held.subarray(0, sure)
      this.#held = this.#held.subarray(at >= 0 ? at + mark.length : sure)
      if (piece.length > 0) yield piece
      if (at >= 0) return true
      if (!(await this.#more())) return false
    }
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
