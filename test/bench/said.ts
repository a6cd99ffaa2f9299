import { type FSWatcher, readFileSync, watch } from 'node:fs'
import { dirname } from 'node:path'

const PATIENCE_MS = 60_000

/** Waits until a file that need not exist yet holds a text so many times. Resolves to the moment, on the clock of `performance.now()`. */
export async function saidTimes(path: string, text: string, times: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const look = () => {
    if (count(path, text) >= times) resolve(performance.now())
  }
  const watcher: FSWatcher = watch(dirname(path), look)
  watcher.on('error', reject)
  const timer = setTimeout(() => reject(new Error(`${path} does not say ${text} within a minute`)), PATIENCE_MS)
  look()
  try {
    return await promise
  } finally {
    watcher.close()
    clearTimeout(timer)
  }
}

function count(path: string, text: string): number {
  try {
    return readFileSync(path, 'utf8').split(text).length - 1
  } catch {
    return 0
  }
}
