import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { Writable } from 'node:stream'

export interface FileContent {
  readonly bytes: number
  readonly sha256: string
}

/** A file that must not exist, hashed while it is written. The name that it has becomes durable by others. */
export class HashedFile {
  readonly #file: FileHandle
  readonly #hash = createHash('sha256')
  #bytes = 0

  private constructor(file: FileHandle) {
    this.#file = file
  }

  static async create(path: string): Promise<HashedFile> {
    return new HashedFile(await open(path, 'wx', 0o600))
  }

  sink(): Writable {
    return new Writable({ write: (chunk: Buffer, _encoding, done) => this.#write(chunk).then(() => done(), done) })
  }

  async #write(chunk: Buffer): Promise<void> {
    this.#hash.update(chunk)
    this.#bytes += chunk.length
    await this.#file.appendFile(chunk)
  }

  sync(): Promise<void> {
    return this.#file.sync()
  }

  /** Of all that was written; asked once. */
  content(): FileContent {
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex') }
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}
