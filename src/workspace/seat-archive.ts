import { LazarusError } from '../kernel/errors.ts'
import type { RunResult } from '../linux/run.ts'
import type { Airlock } from './airlock.ts'
import { ByteReader } from './byte-reader.ts'
import { isDiskFull } from './git.ts'
import type { SeatListing } from './seat-listing.ts'
import { readListing } from './seat-listing.ts'
import { ARCHIVE_SEAT } from './seat-scripts.ts'
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
 * One passage: it tells what a seat holds, and then writes a tar of it, unless nobody listens any more. All that a
 * checkpoint of an unchanged seat costs is the start of this.
 */
export class SeatArchive {
  readonly #stream: Stream
  readonly #reader: ByteReader

  constructor(airlock: Airlock, { layer, artifacts, parts }: SeatView, abort: AbortSignal) {
    const mounts = [
      { kind: 'bind', source: layer, target: '/seat', read_only: true },
      { kind: 'bind', source: artifacts, target: '/artifacts', read_only: true },
    ] as const
    const passage = { script: ARCHIVE_SEAT, args: parts, mounts, unprivileged: false, long: true, abort }
    this.#stream = streamOf((on_stdout) =>
      airlock.pass(passage, { on_stdout, max_stdout_bytes: Number.MAX_SAFE_INTEGER }),
    )
    this.#reader = new ByteReader(this.#stream.chunks)
  }

  async listing(max_entries: number): Promise<SeatListing> {
    const listing = await readListing(this.#reader, max_entries)
    if (listing !== null) return listing
    throw failed(await this.#stream.done)
  }

  /** The archive; it throws when the passage did not end well. Asked once, after the listing. */
  async *tar(): AsyncGenerator<Uint8Array> {
    yield* this.#reader.rest()
    const done = await this.#stream.done
    if (done?.exit_code !== 0 && done?.exit_code !== 1) throw failed(done)
  }

  /** Listens no more: what goes on in the passage is ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.leave()
    await this.#stream.done.catch(() => {})
  }
}

function failed(done: RunResult | null): LazarusError {
  if (done?.ended === 'timeout') return new LazarusError('timed_out', 'Archiving the layer took too long.')
  const reason = done?.stderr.trim().slice(-1000) || `its process ended with ${done?.signal ?? done?.exit_code}`
  if (isDiskFull(reason)) return new LazarusError('storage_full', `The layer could not be archived: ${reason}`)
  return new LazarusError('runtime_failed', `The layer could not be archived: ${reason}`)
}
