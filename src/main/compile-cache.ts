import { readdirSync, rmSync, statSync } from 'node:fs'
import { getCompileCacheDir } from 'node:module'
import { basename, join } from 'node:path'

const KEPT_MS = 30 * 86_400_000

/** Below it Node keeps one directory per version of itself; those of versions that are gone are nobody's. */
export const compileCacheOf = (stateDir: string): string => join(stateDir, 'compile-cache')

export function pruneCompileCache(stateDir: string, now_ms: number, present = getCompileCacheDir()): void {
  const directory = compileCacheOf(stateDir)
  try {
    for (const name of readdirSync(directory)) {
      const path = join(directory, name)
      const isPresent = present !== undefined && name === basename(present)
      if (!isPresent && statSync(path).mtimeMs < now_ms - KEPT_MS) rmSync(path, { recursive: true, force: true })
    }
  } catch {
    // There is none, or another process prunes it: a cache is worth no failure.
  }
}
