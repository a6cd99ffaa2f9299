import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { RecordedEvent } from '../contract/event.ts'

const OPEN = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW
const BLOCK = 64 * 1024
const NEWLINE = 10

/** Where the log stands: its whole lines end at `bytes`, the last of them is event `seq`, number `version` of its mission. */
export interface LogPosition {
  readonly bytes: number
  readonly seq: number
  readonly version: number
  /** Bytes behind them that do not count and are to be cut off. */
  readonly tail: number
}

export const openLog = (path: string): Promise<FileHandle> => open(path, OPEN, 0o600)

/** Offset after the last newline before `end`; 0 when there is none. */
async function lineStart(file: FileHandle, end: number): Promise<number> {
  const block = Buffer.alloc(BLOCK)
  for (let to = end; to > 0; to -= BLOCK) {
    const from = Math.max(0, to - BLOCK)
    const { bytesRead } = await file.read(block, 0, to - from, from)
    const at = block.subarray(0, bytesRead).lastIndexOf(NEWLINE)
    if (at !== -1) return from + at + 1
  }
  return 0
}

async function readRange(file: FileHandle, from: number, to: number): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(to - from), 0, to - from, from)
  return buffer.toString('utf8', 0, bytesRead)
}

/**
 * Finds where to go on from the last whole line. What a killed writer left behind it, a torn line, does not count; a
 * last line that is no event makes the whole log suspect, and it is written again from its beginning.
 */
export async function findPosition(file: FileHandle): Promise<LogPosition> {
  const { size } = await file.stat()
  const bytes = await lineStart(file, size)
  const start: LogPosition = { bytes: 0, seq: 0, version: 0, tail: size }
  if (bytes === 0) return start
  const line = await readRange(file, await lineStart(file, bytes - 1), bytes)
  try {
    const { seq, version } = JSON.parse(line) as Partial<RecordedEvent>
    return Number.isInteger(seq) && Number.isInteger(version)
      ? { bytes, seq: seq!, version: version!, tail: size - bytes }
      : start
  } catch {
    return start
  }
}

/** Writes the events as lines from `position` on, over whatever stood there, and cuts the file behind them. */
export async function writeEvents(
  file: FileHandle,
  position: LogPosition,
  events: readonly RecordedEvent[],
): Promise<LogPosition> {
  const text = Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join(''))
  const end = position.bytes + text.length
  for (let at = 0; at < text.length; ) {
    const { bytesWritten } = await file.write(text, at, text.length - at, position.bytes + at)
    at += bytesWritten
  }
  if (position.tail > 0) await file.truncate(end)
  const last = events.at(-1)
  return { bytes: end, seq: last?.seq ?? position.seq, version: last?.version ?? position.version, tail: 0 }
}
