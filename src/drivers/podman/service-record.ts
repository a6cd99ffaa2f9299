import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive, sendSignal } from '../../linux/process.ts'

export interface ServiceRecord {
  readonly pid: number
  readonly start_time: string
  /** The directory of the driver whose service it is. */
  readonly root: string
}

const FILE = 'podman.json'
const NAME = /^lazarus-[0-9a-f]{8}$/
/** A pit that starts its service just now has its directory before its record. */
const YOUNG_MS = 3_600_000

/** Below the runtime directory, which all pits of a user share. Short, because socket paths are. */
export const serviceDirectory = (runtimeDir: string, stateKey: string): string =>
  join(runtimeDir, `lazarus-${stateKey.slice(0, 8)}`)

export function readServiceRecord(directory: string): ServiceRecord | null {
  try {
    return JSON.parse(readFileSync(join(directory, FILE), 'utf8')) as ServiceRecord
  } catch {
    return null
  }
}

export function writeServiceRecord(directory: string, record: ServiceRecord): void {
  writeFileSync(join(directory, FILE), JSON.stringify(record), { mode: 0o600 })
}

/** The directory first: whoever removes the socket at the same time, as a service does at its end, fails the other. */
export function endService(directory: string, record: ServiceRecord | null): void {
  rmSync(directory, { recursive: true, force: true })
  if (record !== null && isAlive(record.pid, record.start_time)) sendSignal(record.pid, 'SIGTERM')
}

/**
 * Removes what pits that were killed have left: services of state directories that are no more, and directories
 * without a living service, which serve nobody: a pit that needs its own makes it anew.
 */
export function sweepServices(runtimeDir: string, now_ms: number): void {
  for (const name of readdirSync(runtimeDir).filter((name) => NAME.test(name))) {
    const directory = join(runtimeDir, name)
    const record = readServiceRecord(directory)
    if (isOrphaned(record) || isUnserved(directory, record, now_ms)) endService(directory, record)
  }
}

/** Records of earlier versions name no root; their services end by themselves when they are idle. */
const isOrphaned = (record: ServiceRecord | null): boolean => record?.root !== undefined && !existsSync(record.root)

function isUnserved(directory: string, record: ServiceRecord | null, now_ms: number): boolean {
  if (record !== null && isAlive(record.pid, record.start_time)) return false
  const made = statSync(directory, { throwIfNoEntry: false })
  return made?.isDirectory() === true && made.mtimeMs < now_ms - YOUNG_MS
}
