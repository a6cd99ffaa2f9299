import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { coversFile, type HullLayout, laySkeleton } from './hull.ts'

/**
 * The root skeleton for a layout: empty mount points and symlinks, which all hulls of the same shape share. Each
 * binds it read-only in its own mount namespace; nothing is ever written to it. Gives its directory.
 */
export function sharedSkeleton(root: string, layout: HullLayout): string {
  const points = layout.mounts.map((mount) => [mount.target, coversFile(mount)])
  const shape = JSON.stringify([points, layout.symlinks, layout.directories])
  const directory = join(root, 'roots', createHash('sha256').update(shape).digest('hex').slice(0, 16))
  if (!existsSync(directory)) lay(directory, layout)
  return directory
}

/** Appears whole or not at all. */
function lay(directory: string, layout: HullLayout): void {
  mkdirSync(join(directory, '..'), { recursive: true, mode: 0o700 })
  const draft = mkdtempSync(`${directory}.`)
  try {
    laySkeleton(draft, layout)
    renameSync(draft, directory)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(directory)) throw error // another process was first
  }
}
