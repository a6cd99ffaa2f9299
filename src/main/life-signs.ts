import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { z } from 'zod'
import { type LifeSigns, type PitRecord, pitRecord, type StopRecord, stopRecord } from '../contract/pit.ts'
import { isAlive } from '../linux/process.ts'
import { writeAtomic } from '../store/atomic-file.ts'

/** What a pit leaves in its state directory for those outside: where it is, and that it was asked to stop. */
const PIT = 'pit.json'
const STOPPED = 'stopped.json'

export function readLifeSigns(stateDir: string): LifeSigns {
  const pit = readSign(join(stateDir, PIT), pitRecord)
  const alive = pit !== null && isAlive(pit.pid, pit.start_time)
  return { pit, alive, stopped: readSign(join(stateDir, STOPPED), stopRecord) }
}

/** Before anything that may fail: from now on a pit is wanted here. */
export const forgetStop = (stateDir: string): Promise<void> => rm(join(stateDir, STOPPED), { force: true })

export const announcePit = (stateDir: string, record: PitRecord): Promise<void> =>
  writeAtomic(join(stateDir, PIT), JSON.stringify(record), { durable: false })

/** First of all at a stop: a pit that is killed while it stops was stopped all the same. */
export const announceStop = (stateDir: string, record: StopRecord): Promise<void> =>
  writeAtomic(join(stateDir, STOPPED), JSON.stringify(record), { durable: true })

export const withdrawPit = (stateDir: string): Promise<void> => rm(join(stateDir, PIT), { force: true })

/** What cannot be read, or is not ours, is not there. */
function readSign<T extends z.ZodType>(path: string, schema: T): z.infer<T> | null {
  try {
    return schema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return null
  }
}
