import { createHash } from 'node:crypto'
import type { CheckpointManifest } from '../contract/checkpoint.ts'
import { tooMuch } from './archive.ts'
import type { ByteReader } from './byte-reader.ts'

/** What a seat holds, as the first answer of ARCHIVE_SEAT tells it. */
export interface SeatListing {
  /** Of names, kinds, modes, sizes, times and link targets, in the order of the directories themselves. */
  readonly fingerprint: string
  readonly artifacts: CheckpointManifest['artifacts']
}

const END = Buffer.from([0, 0])
const MOST_ARTIFACTS = 1000
const LONGEST_PATH = 1024 ** 2

/** null: the stream ended before the listing did. */
export async function readListing(reader: ByteReader, max_entries: number): Promise<SeatListing | null> {
  const hash = createHash('sha256')
  let fields = 0
  const pieces = reader.pieces(END)
  for (let next = await pieces.next(); ; next = await pieces.next()) {
    if (next.done) {
      if (!next.value) return null
      break
    }
    hash.update(next.value)
    fields += countZeros(next.value)
    if (fields > 2 * max_entries) throw tooMuch(`more than ${max_entries} entries`, 'entries', 'checkpoint')
  }
  const artifacts = await readArtifacts(reader)
  return artifacts && { fingerprint: hash.digest('hex'), artifacts }
}

/** "<bytes> <path>", each ended by NUL, and one that is empty. */
async function readArtifacts(reader: ByteReader): Promise<SeatListing['artifacts'] | null> {
  const artifacts: SeatListing['artifacts'] = []
  for (;;) {
    const record = await reader.until(0, LONGEST_PATH)
    if (record === null) return null
    if (record.length === 0) return artifacts
    const space = record.indexOf(32)
    const bytes = Number(record.toString('latin1', 0, space))
    if (artifacts.length < MOST_ARTIFACTS) artifacts.push({ path: record.toString('utf8', space + 1), bytes })
  }
}

function countZeros(piece: Buffer): number {
  let zeros = 0
  for (let at = piece.indexOf(0); at >= 0; at = piece.indexOf(0, at + 1)) zeros += 1
  return zeros
}
