import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { RecordFile } from '../contract/cell.ts'
import type { MissionState } from '../domain/mission.ts'
import { missionView } from '../domain/views.ts'
import { isoTime } from '../kernel/clock.ts'
import { writeAtomic } from './atomic-file.ts'

const MAX_FILES = 10_000
const RECORDED = ['config', 'logs', 'artifacts']
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

type Hashed = Pick<RecordFile['files'][number], 'bytes' | 'sha256'>

/** Throws for anything but a readable regular file; never follows a symlink, never waits for a FIFO. */
async function hashFile(path: string): Promise<Hashed> {
  await using file = await open(path, READ)
  if (!(await file.stat()).isFile()) throw new Error(`${path} is no regular file`)
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of file.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** Everything below a folder that is not a folder, breadth by breadth, symlinks not followed. */
async function* entriesBelow(root: string, folder: string): AsyncGenerator<string> {
  const folders = [folder]
  for (let at = folders.pop(); at !== undefined; at = folders.pop()) {
    const entries = await readdir(join(root, at), { withFileTypes: true }).catch(() => [])
    for (const entry of entries) {
      const path = `${at}/${entry.name}`
      if (entry.isDirectory()) folders.push(path)
      else yield path
    }
  }
}

async function hashFiles(root: string): Promise<Pick<RecordFile, 'files' | 'files_omitted'>> {
  const files: RecordFile['files'] = []
  let files_omitted = 0
  for (const folder of RECORDED) {
    for await (const path of entriesBelow(root, folder)) {
      // The mission's log still grows by the event that names this record; it has its own entry.
      if (path === 'logs/mission.log') continue
      const hashed = files.length < MAX_FILES ? await hashFile(join(root, path)).catch(() => null) : null
      if (hashed) files.push({ path, ...hashed })
      else files_omitted += 1
    }
  }
  return { files: files.sort((a, b) => (a.path < b.path ? -1 : 1)), files_omitted }
}

/** Writes `record.json`: the mission as it ended, and hashes to check the rest of the archive against. */
export async function writeRecord(directory: string, state: MissionState, now_ms: number): Promise<string> {
  const record: RecordFile = {
    recorded_at: isoTime(now_ms),
    mission: missionView(state),
    log: { events: state.version, ...(await hashFile(join(directory, 'logs/mission.log'))) },
    ...(await hashFiles(directory)),
  }
  const path = join(directory, 'record.json')
  await writeAtomic(path, `${JSON.stringify(record, null, 2)}\n`, { durable: true })
  return path
}
