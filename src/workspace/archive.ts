import type { Transform } from 'node:stream'
import { constants, createZstdCompress } from 'node:zlib'
import { LazarusError } from '../kernel/errors.ts'
import { TarCheck } from './tar-check.ts'
import { TarFault } from './tar-header.ts'

/** Bounds of one archive of a seat; `purpose` names it and its limits in what the operator reads. */
export interface ArchiveBounds {
  readonly purpose: 'checkpoint' | 'trash'
  readonly max_bytes: number
  readonly max_entries: number
}

const PIECE_BYTES = 1024 ** 2
/** A piece that is taken as it is. */
const LARGE_BYTES = 256 * 1024

/** The quickest level, with a checksum. */
export const zstd = (): Transform =>
  createZstdCompress({
    chunkSize: PIECE_BYTES / 4,
    params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
  })

/** What the archive of a seat may hold; a fault is the agent's doing, told as a limit where it is one. */
export class ArchiveWatch {
  readonly tar: TarCheck
  readonly #bounds: ArchiveBounds

  constructor(parts: readonly string[], bounds: ArchiveBounds) {
    this.#bounds = bounds
    this.tar = new TarCheck({ parts, max_bytes: bounds.max_bytes, max_entries: bounds.max_entries })
  }

  async *watched(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of gathered(chunks)) {
      this.#try(() => this.tar.push(chunk))
      yield chunk
    }
  }

  /** Asked when the tar has ended well. */
  end(): void {
    this.#try(() => this.tar.end())
  }

  #try(look: () => void): void {
    try {
      look()
    } catch (error) {
      if (!(error instanceof TarFault)) throw error
      if (error.limit !== null) throw tooMuch(error.message, error.limit, this.#bounds.purpose)
      throw new LazarusError('runtime_failed', `The layer could not be archived: ${error.message}`)
    }
  }
}

/** In pieces of about a megabyte: compressed as they come from a pipe they would cost three times as much. */
async function* gathered(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let held: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    if (held.length === 0 && chunk.length >= LARGE_BYTES) {
      yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
      continue
    }
    held.push(chunk)
    bytes += chunk.length
    if (bytes < PIECE_BYTES) continue
    yield Buffer.concat(held, bytes)
    held = []
    bytes = 0
  }
  if (bytes > 0) yield Buffer.concat(held, bytes)
}

export const tooMuch = (what: string, limit: 'bytes' | 'entries' | 'path', purpose: ArchiveBounds['purpose']) =>
  new LazarusError('limit_exceeded', `The layer holds ${what}: too much for ${NAMES[purpose]}.`, {
    remedy: 'Delete what is not needed in the cell, then repeat.',
    details: { limit: `${purpose}_${limit}` },
  })

const NAMES = { checkpoint: 'a checkpoint', trash: 'the trash' } as const
