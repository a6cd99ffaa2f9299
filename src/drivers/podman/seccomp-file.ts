import { createHash } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PodmanDeps } from './deps.ts'

/**
 * The API takes a profile as a path on the host, so it is laid into our own directory, which is there under the same
 * path also when the pit itself runs in a container. Named by content: a new profile never changes a running cell's.
 */
export async function seccompFor(
  deps: Pick<PodmanDeps, 'root' | 'policiesDir'>,
  name: string | null,
): Promise<string | null> {
  if (name === null) return null
  const profile = await readFile(join(deps.policiesDir, name))
  const path = join(deps.root, `seccomp-${createHash('sha256').update(profile).digest('hex').slice(0, 16)}.json`)
  const present = await readFile(path).catch(() => null)
  if (present?.equals(profile)) return path
  const temporary = `${path}.${process.pid}`
  await writeFile(temporary, profile, { mode: 0o600 })
  await rename(temporary, path)
  return path
}
