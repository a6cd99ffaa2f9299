import { type FSWatcher, watch } from 'node:fs'
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { SeatLogs } from '../ports/seat-logs.ts'
import { decodeK8sFile } from './k8s-file.ts'
import { lastLines } from './last-lines.ts'

const CHUNK = 64 * 1024
/** How long a follower trusts inotify alone; a cell of the same uid can use it up. */
const FALLBACK_POLL_MS = 250

/** Reads `<path>.N … <path>.1 <path>`, oldest first, and follows the newest across rotations. */
export function createSeatLogs(): SeatLogs {
  return {
    async *read(source, options, ended) {
      const raw = readRaw(source.path, options.follow, ended)
      const decoded = source.format === 'k8s-file' ? decodeK8sFile(raw) : raw
      yield* lastLines(decoded, options.tail ?? Number.POSITIVE_INFINITY)
    },
    async wroteAt(path) {
      const found = await stat(path).catch(() => null)
      return found === null || found.size === 0 ? null : found.mtimeMs
    },
  }
}

/** `null` marks where the past ends and following begins. */
async function* readRaw(path: string, follow: boolean, ended: AbortSignal): AsyncIterable<Uint8Array | null> {
  for (const old of await rotated(path)) yield* readOnce(old)
  const reader = new Follower(path)
  try {
    yield* reader.drain()
    yield null
    while (follow && !ended.aborted) {
      await reader.change(ended)
      yield* reader.drain()
    }
  } finally {
    await reader.close()
  }
}

async function rotated(path: string): Promise<readonly string[]> {
  const prefix = `${basename(path)}.`
  const names = await readdir(dirname(path)).catch(() => [])
  const numbers = names.filter((name) => name.startsWith(prefix)).map((name) => Number(name.slice(prefix.length)))
  return numbers
    .filter((n) => Number.isInteger(n) && n > 0)
    .sort((a, b) => b - a)
    .map((n) => join(dirname(path), `${prefix}${n}`))
}

async function* readOnce(path: string): AsyncIterable<Uint8Array> {
  const reader = new Follower(path)
  try {
    yield* reader.drain()
  } finally {
    await reader.close()
  }
}

class Follower {
  readonly #path: string
  #file: FileHandle | null = null
  #position = 0
  #watcher: FSWatcher | null = null

  constructor(path: string) {
    this.#path = path
  }

  /** Everything up to the present end; goes on in the new file after a rotation. */
  async *drain(): AsyncIterable<Uint8Array> {
    do {
      this.#file ??= await open(this.#path, 'r').catch(() => null)
      if (this.#file === null) return
      yield* this.#rest(this.#file)
    } while (await this.#rotatedAway())
  }

  async *#rest(file: FileHandle): AsyncIterable<Uint8Array> {
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, this.#position)
      if (bytesRead === 0) return
      this.#position += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  }

  async #rotatedAway(): Promise<boolean> {
    const [now, mine] = await Promise.all([stat(this.#path).catch(() => null), this.#file!.stat()])
    if (now === null || (now.ino === mine.ino && now.size >= this.#position)) return false
    await this.#file!.close()
    this.#file = null
    this.#position = 0
    return true
  }

  /** Resolves when the directory changed, after a while, or at the end. */
  async change(ended: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#watcher ??= this.#tryWatch()
    const timer = setTimeout(resolve, FALLBACK_POLL_MS)
    const onChange = () => resolve()
    this.#watcher?.on('change', onChange)
    ended.addEventListener('abort', onChange, { once: true })
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#watcher?.off('change', onChange)
      ended.removeEventListener('abort', onChange)
    }
  }

  #tryWatch(): FSWatcher | null {
    try {
      return watch(dirname(this.#path)).on('error', () => {})
    } catch {
      return null
    }
  }

  async close(): Promise<void> {
    this.#watcher?.close()
    await this.#file?.close()
  }
}
