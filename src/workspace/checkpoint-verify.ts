import type { Hash } from 'node:crypto'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { isDeepStrictEqual } from 'node:util'
import { createZstdDecompress } from 'node:zlib'
import type { Checkpoint, CheckpointManifest } from '../contract/checkpoint.ts'
import { checkpointManifest, checkpointState } from '../contract/checkpoint.ts'
import { ARCHIVE, CONTEXT, checkpointOf, directoryOf, MANIFEST, openOwn, STATE, sha256 } from './checkpoint-files.ts'
import { asCorrupt, Flaw } from './checkpoint-flaw.ts'
import { requireDirectories } from './durable.ts'
import { TarCheck } from './tar-check.ts'

/** What any checkpoint may hold at its top. */
const PARTS = ['upper', 'tree', 'home']
const READ_BYTES = 256 * 1024
const MOST_JSON_BYTES = 64 * 1024 ** 2

/** Takes the tar while it is read, checked up to each chunk; the whole is proven only when reading has ended. */
export type TarSink = (tar: AsyncIterable<Uint8Array>) => Promise<void>

export interface Verified {
  /** Of all files of the checkpoint. */
  readonly bytes: number
  readonly entries: number
  /** Top directories of the archive. */
  readonly parts: ReadonlySet<string>
}

/**
 * Reads a checkpoint whole, as if everything but the ledger's entry were hostile: what is not exactly what was
 * written then is checkpoint_corrupt.
 */
export async function verifyCheckpoint(
  missions_path: string,
  checkpoint: Checkpoint,
  abort: AbortSignal,
  sink: TarSink = drain,
): Promise<Verified> {
  const directory = directoryOf(missions_path, checkpoint)
  try {
    requireDirectories(missions_path, directory)
    const small = await verifyFiles(directory, checkpoint)
    const tar = await verifyArchive(join(directory, ARCHIVE), checkpoint, abort, sink)
    return { bytes: small + checkpoint.bytes, entries: tar.entries, parts: tar.parts }
  } catch (error) {
    abort.throwIfAborted()
    throw asCorrupt(checkpoint, directory, error)
  }
}

const drain: TarSink = async (tar) => {
  for await (const _ of tar);
}

/** Of manifest, state and context: what they say is what the ledger says. Answers their size. */
async function verifyFiles(directory: string, checkpoint: Checkpoint): Promise<number> {
  const [manifest_text, state, context] = await Promise.all(
    [MANIFEST, STATE, CONTEXT].map((name) => readSmall(directory, name)),
  )
  if (sha256(manifest_text!) !== checkpoint.manifest_sha256)
    throw new Flaw('manifest.json is not the one of the ledger')
  const manifest = parse(manifest_text!)
  const entry = checkpointOf(manifest, manifest_text!, checkpoint.took_ms)
  if (!isDeepStrictEqual(entry, { ...checkpoint })) throw new Flaw('manifest.json is of another checkpoint')
  if (sha256(state!) !== manifest.state_sha256) throw new Flaw('state.json is not the one of the manifest')
  if (sha256(context!) !== manifest.context_hash) throw new Flaw('context.json is not the one of the manifest')
  const { mission_id, agent_id } = checkpointState.parse(JSON.parse(state!))
  if (mission_id !== checkpoint.mission_id || agent_id !== checkpoint.agent_id)
    throw new Flaw('state.json is of another seat')
  return [manifest_text, state, context].reduce((sum, text) => sum + Buffer.byteLength(text!), 0)
}

async function readSmall(directory: string, name: string): Promise<string> {
  const { file, bytes } = await openOwn(join(directory, name))
  try {
    if (bytes > MOST_JSON_BYTES) throw new Flaw(`${name} has ${bytes} bytes`)
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

const parse = (text: string): CheckpointManifest => checkpointManifest.parse(JSON.parse(text))

async function verifyArchive(
  path: string,
  checkpoint: Checkpoint,
  abort: AbortSignal,
  sink: TarSink,
): Promise<TarCheck> {
  const { file, bytes } = await openOwn(path)
  const { content_bytes: max_bytes, entries: max_entries } = checkpoint
  const look = { tar: new TarCheck({ parts: PARTS, max_bytes, max_entries }), hash: createHash('sha256'), ended: false }
  try {
    if (bytes !== checkpoint.bytes) throw new Flaw(`${ARCHIVE} has ${bytes} bytes and not ${checkpoint.bytes}`)
    const source = file.createReadStream({ autoClose: false, highWaterMark: READ_BYTES })
    const zstd = createZstdDecompress({ chunkSize: READ_BYTES })
    const checked = (chunks: AsyncIterable<Buffer>) => checkedTar(chunks, look, checkpoint)
    await pipeline(source, hashing(look.hash), zstd, checked, sink, { signal: abort })
  } finally {
    await file.close()
  }
  if (!look.ended) throw new Flaw(`${ARCHIVE} goes on after its end`)
  return look.tar
}

const hashing = (hash: Hash): Transform =>
  new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      done(null, chunk)
    },
  })

/** The judgement on the whole comes before the end: who takes the tar learns of a fault instead of it. */
async function* checkedTar(
  chunks: AsyncIterable<Buffer>,
  look: { readonly tar: TarCheck; readonly hash: Hash; ended: boolean },
  { sha256, entries, content_bytes }: Checkpoint,
): AsyncGenerator<Buffer> {
  const { tar } = look
  for await (const chunk of chunks) {
    tar.push(chunk)
    yield chunk
  }
  tar.end()
  if (look.hash.digest('hex') !== sha256) throw new Flaw(`${ARCHIVE} is not the one of the ledger`)
  if (tar.entries !== entries || tar.bytes !== content_bytes)
    throw new Flaw(`${ARCHIVE} holds ${tar.entries} entries and ${tar.bytes} bytes`)
  look.ended = true
}

/** Whether the compressed archive is, byte for byte, the one of the ledger. */
export async function isArchiveSound(directory: string, { bytes, sha256 }: Checkpoint, abort: AbortSignal) {
  const opened = await openOwn(join(directory, ARCHIVE)).catch(() => null)
  if (opened === null) return false
  try {
    if (opened.bytes !== bytes) return false
    const hash = createHash('sha256')
    const source = opened.file.createReadStream({ autoClose: false, highWaterMark: READ_BYTES, signal: abort })
    for await (const chunk of source) hash.update(chunk)
    return hash.digest('hex') === sha256
  } finally {
    await opened.file.close()
  }
}
