import { mkdirSync, renameSync } from 'node:fs'
import { constants, copyFile, link, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Checkpoint, CheckpointManifest } from '../contract/checkpoint.ts'
import type { Clock } from '../kernel/clock.ts'
import { isoTime } from '../kernel/clock.ts'
import type { CheckpointOrder } from '../ports/checkpoint-store.ts'
import type { SeatLayer } from '../ports/workspace.ts'
import type { ArchiveBounds } from './archive.ts'
import { ArchiveWatch, zstd } from './archive.ts'
import type { Synced } from './checkpoint-files.ts'
import {
  ARCHIVE,
  CONTEXT,
  checkpointOf,
  checkpointsOf,
  jsonFile,
  MANIFEST,
  makeDirectories,
  STATE,
  sha256,
  syncAll,
  writeNew,
} from './checkpoint-files.ts'
import type { Faults } from './durable.ts'
import { randomName } from './durable.ts'
import { HashedFile } from './hashed-file.ts'
import type { SeatArchive, SeatView } from './seat-archive.ts'
import type { SeatListing } from './seat-listing.ts'

export interface Taking {
  readonly missions_path: string
  readonly clock: Clock
  readonly faults: Faults
  readonly bounds: ArchiveBounds
  readonly layer: SeatLayer
  readonly order: CheckpointOrder
  readonly began_ms: number
  readonly abort: AbortSignal
}

/** What the manifest says of an archive. */
type Content = Pick<CheckpointManifest, 'bytes' | 'sha256' | 'content_bytes' | 'entries' | 'shares'>

/** Takes a file that is synced with the others, and closed in the end. */
type Keep = <T extends Synced>(file: T) => T

/** Writes `snapshot.tar.zst` into a directory; its caller syncs that. */
export type Fill = (directory: string, keep: Keep) => Promise<Content>

/** A checkpoint directory; it appears when it is whole and on the disk, and after a failure nothing of it is there. */
export async function writeCheckpoint(taking: Taking, listing: SeatListing, fill: Fill): Promise<Checkpoint> {
  const home = checkpointsOf(taking.missions_path, taking.layer.seat)
  const parents = makeDirectories(home)
  const draft = join(home, `.new-${randomName()}`)
  let ours = draft
  try {
    const checkpoint = await writeDraft(taking, listing, fill, draft)
    taking.faults('checkpoint.appear')
    taking.abort.throwIfAborted()
    const final = join(home, checkpoint.checkpoint_id)
    renameSync(draft, final)
    ours = final
    await syncAll([], [home, ...parents])
    return { ...checkpoint, took_ms: taking.clock.monotonic() - taking.began_ms }
  } catch (error) {
    await rm(ours, { recursive: true, force: true })
    throw error
  }
}

async function writeDraft(taking: Taking, listing: SeatListing, fill: Fill, draft: string): Promise<Checkpoint> {
  const { order, faults } = taking
  await using closing = new AsyncDisposableStack()
  const kept: Synced[] = []
  const keep: Keep = (file) => {
    closing.defer(() => file.close())
    kept.push(file)
    return file
  }
  mkdirSync(draft, { mode: 0o700 })
  faults('checkpoint.write')
  const texts = { [STATE]: jsonFile(order.state), [CONTEXT]: jsonFile(order.context) }
  const content = await fill(draft, keep)
  const manifest = manifestOf(taking, listing, content, {
    state_sha256: sha256(texts[STATE]!),
    context_hash: sha256(texts[CONTEXT]!),
  })
  const manifest_text = jsonFile(manifest)
  faults('checkpoint.sync')
  for (const [name, text] of Object.entries({ ...texts, [MANIFEST]: manifest_text })) {
    keep(writeNew(join(draft, name), text))
  }
  await syncAll(kept, [draft])
  return checkpointOf(manifest, manifest_text, 0)
}

function manifestOf(
  { layer, order, clock }: Taking,
  { fingerprint, artifacts }: SeatListing,
  content: Content,
  hashes: Pick<CheckpointManifest, 'state_sha256' | 'context_hash'>,
): CheckpointManifest {
  const { generation, sequence, reason, paused } = order
  return {
    format: 1,
    ...layer.seat,
    generation,
    sequence,
    ...content,
    ...hashes,
    fingerprint,
    created_at: isoTime(clock.now()),
    reason,
    paused,
    artifacts,
  }
}

/** The tar of the passage, checked, compressed and hashed on its way. */
export const archiveOf =
  ({ bounds, faults }: Taking, { parts }: SeatView, archive: SeatArchive): Fill =>
  async (directory, keep) => {
    const file = keep(await HashedFile.create(join(directory, ARCHIVE)))
    const watch = new ArchiveWatch(parts, bounds)
    await pipeline(watch.watched(archive.tar()), zstd(), file.sink())
    watch.end()
    faults('checkpoint.archive')
    const { entries, bytes } = watch.tar
    return { ...file.content(), content_bytes: bytes, entries, shares: null }
  }

/** The archive of an earlier checkpoint, by another name; copied where the file system has no more links for it. */
export const sharedWith =
  (previous: Checkpoint, directory: string): Fill =>
  async (draft, keep) => {
    const [from, to] = [join(directory, ARCHIVE), join(draft, ARCHIVE)]
    await link(from, to).catch(async () => {
      await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
      keep(await open(to))
    })
    const { bytes, sha256, content_bytes, entries, checkpoint_id } = previous
    return { bytes, sha256, content_bytes, entries, shares: checkpoint_id }
  }
