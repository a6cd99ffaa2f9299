/**
 * A thread of its own: reads every regular file that the walk found, with plain blocking calls, which is several times
 * faster than asking the event loop for each step and costs the pit's own loop nothing.
 */
import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { isRegularFile, pathEnd, withContent } from './entry.ts'
import { RecordCutter } from './records.ts'

const buffer = Buffer.allocUnsafe(256 * 1024)

/** Never through a symlink, never waiting for the writer of a FIFO that took the file's place. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

/** Without touching the access time, where the kernel lets us (our own files). */
function openQuietly(path: Buffer): number {
  try {
    return openSync(path, READ | constants.O_NOATIME)
  } catch (error) {
    if (codeOf(error) === 'EPERM') return openSync(path, READ)
    throw error
  }
}

function hashFile(path: Buffer): string {
  const file = openQuietly(path)
  try {
    if (!fstatSync(file).isFile()) return '-'
    const hash = createHash('sha256')
    for (let bytes = readSync(file, buffer); bytes > 0; bytes = readSync(file, buffer)) {
      hash.update(buffer.subarray(0, bytes))
    }
    return hash.digest('hex')
  } finally {
    closeSync(file)
  }
}

let unreadable = 0

function hashed(record: Buffer): Buffer {
  if (!isRegularFile(record)) return record
  try {
    return withContent(record, hashFile(record.subarray(0, pathEnd(record))))
  } catch (error) {
    // Vanished since it was found: its record stays without content, as the walk saw it.
    if (codeOf(error) !== 'ENOENT') unreadable += 1
    return record
  }
}

function copyHashed(from: string, to: string): void {
  const [source, target] = [openSync(from, 'r'), openSync(to, 'wx', 0o600)]
  const cutter = new RecordCutter()
  const chunk = Buffer.allocUnsafe(64 * 1024)
  for (let bytes = readSync(source, chunk); bytes > 0; bytes = readSync(source, chunk)) {
    const records = [...cutter.cut(chunk.subarray(0, bytes))].flatMap((record) => [hashed(record), Buffer.of(0)])
    writeWhole(target, Buffer.concat(records))
  }
  if (cutter.torn) throw new Error(`${from} ends in the middle of a record`)
  closeSync(source)
  closeSync(target)
}

function writeWhole(file: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
}

copyHashed(workerData.from, workerData.to)
parentPort!.postMessage(unreadable)
