import { LazarusError } from '../kernel/errors.ts'
import type { RunResult } from '../linux/run.ts'
import type { Airlock } from './airlock.ts'
import { ARCHIVE_SEAT } from './airlock-scripts.ts'
import { ByteReader } from './byte-reader.ts'
import { bytes, isDiskFull } from './git.ts'
import type { SeatListing } from './seat-listing.ts'
import { readListing } from './seat-listing.ts'
import type { Stream } from './stream.ts'
import { streamOf } from './stream.ts'

export interface SeatView {
  /** Host directories of the seat. */
  readonly layer: string
  readonly artifacts: string
  /** What of the layer its agent wrote. */
  readonly parts: readonly string[]
}

/**
 * One passage that first tells what a seat holds, and then is asked for a tar of it, or is not. Everything that the
 * checkpoint of an unchanged seat costs is the start of this.
 */
export class SeatArchive {
  readonly #stream: Stream
  readonly #reader: ByteReader
  readonly #asked = Promise.withResolvers<boolean>()

  constructor(airlock: Airlock, { layer, artifacts, parts }: SeatView, abort: AbortSignal) {
    const mounts = [
      { kind: 'bind', source: layer, target: '/seat', read_only: true },
      { kind: 'bind', source: artifacts, target: '/artifacts', read_only: true },
    ] as const
    const passage = { script: ARCHIVE_SEAT, args: parts, mounts, unprivileged: false, long: true, abort }
    const stdin = answerOf(this.#asked.promise)
    this.#stream = streamOf((on_stdout) =>
      airlock.pass(passage, { stdin, on_stdout, max_stdout_bytes: Number.MAX_SAFE_INTEGER }),
    )
    this.#reader = new ByteReader(this.#stream.chunks)
  }

  async listing(max_entries: number): Promise<SeatListing> {
    const listing = await readListing(this.#reader, max_entries)
    if (listing !== null) return listing
    this.#asked.resolve(false)
    throw failed(await this.#stream.done)
  }

  /** The archive; it throws when the passage did not end well. Asked once, after the listing. */
  async *tar(): AsyncGenerator<Uint8Array> {
    this.#asked.resolve(true)
    yield* this.#reader.rest()
    const done = await this.#stream.done
    if (done?.exit_code !== 0 && done?.exit_code !== 1) throw failed(done)
  }

  /** Wants no more; resolves when nothing of the passage is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#asked.resolve(false)
    await this.#reader.leave()
    await this.#stream.done.catch(() => {})
  }
}

async function* answerOf(asked: Promise<boolean>): AsyncGenerator<Uint8Array> {
  if (await asked) yield bytes('tar\n')
}

function failed(done: RunResult | null): LazarusError {
  if (done?.ended === 'timeout') return new LazarusError('timed_out', 'Archiving the layer took too long.')
  const reason = done?.stderr.trim().slice(-1000) || `its process ended with ${done?.signal ?? done?.exit_code}`
  if (isDiskFull(reason)) return new LazarusError('storage_full', `The layer could not be archived: ${reason}`)
  return new LazarusError('runtime_failed', `The layer could not be archived: ${reason}`)
}
