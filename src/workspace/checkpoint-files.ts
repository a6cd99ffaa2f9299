import { createHash } from 'node:crypto'
import { closeSync, constants, fsync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Checkpoint, CheckpointManifest } from '../contract/checkpoint.ts'
import type { SeatName } from '../contract/ids.ts'
import { syncDirectory, together } from './durable.ts'

export const ARCHIVE = 'snapshot.tar.zst'
export const MANIFEST = 'manifest.json'
export const STATE = 'state.json'
export const CONTEXT = 'context.json'

/** Where the checkpoints of one seat lie; below it one directory each, `.new-…` and `.gone-…` while one comes or goes. */
export const checkpointsOf = (missions_path: string, seat: SeatName): string =>
  join(missions_path, seat.mission_id, 'checkpoints', seat.agent_id)

export const directoryOf = (missions_path: string, checkpoint: Checkpoint): string =>
  join(checkpointsOf(missions_path, checkpoint), checkpoint.checkpoint_id)

export const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex')

export const jsonFile = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

/** The ledger's entry for a manifest. The id is its hash, so that no file can be another's. */
export function checkpointOf(manifest: CheckpointManifest, manifest_text: string, took_ms: number): Checkpoint {
  const { format: _, state_sha256: __, artifacts: ___, ...facts } = manifest
  const manifest_sha256 = sha256(manifest_text)
  return { ...facts, checkpoint_id: `ckpt_${manifest_sha256.slice(0, 24)}`, manifest_sha256, took_ms }
}

/** What is made durable with others, and closed in the end. */
export interface Synced {
  sync(): Promise<void>
  close(): Promise<void>
}

/**
 * Writes a small file that must not exist. Synchronous, as is all here that only takes microseconds: in the thread pool
 * these steps together cost more than the archive.
 */
export function writeNew(path: string, content: string): Synced {
  const descriptor = openSync(path, 'wx', 0o600)
  const file = { sync: () => fsynced(descriptor), close: async () => closeSync(descriptor) }
  try {
    writeFileSync(descriptor, content)
    return file
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

const fsynced = promisify(fsync)

/** Makes the directory, and answers those above it whose entries are new. */
export function makeDirectories(path: string): readonly string[] {
  const first = mkdirSync(path, { recursive: true, mode: 0o700 })
  if (first === undefined) return []
  const parents: string[] = []
  for (let made = path; made.length >= first.length; made = dirname(made)) parents.push(dirname(made))
  return parents
}

/** Files and directories, at once: on a journal that is one commit and not one each. */
export async function syncAll(files: readonly Pick<Synced, 'sync'>[], directories: readonly string[]): Promise<void> {
  await together([...files.map((file) => file.sync()), ...directories.map(syncDirectory)])
}

/** Opens a file of ours for reading; a symlink, or anything else that was put in its place, is refused. */
export async function openOwn(path: string): Promise<{ readonly file: FileHandle; readonly bytes: number }> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  const facts = await file.stat()
  if (facts.isFile()) return { file, bytes: facts.size }
  await file.close()
  throw Object.assign(new Error(`${path} is no file`), { code: 'EINVAL', path })
}
