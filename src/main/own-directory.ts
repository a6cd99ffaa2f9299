import { mkdirSync, realpathSync } from 'node:fs'

/** Private, and resolved: what is compared with homes and bound into cells has no symlink in it. */
export function ownDirectory(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  return realpathSync(path)
}
