import { readdir, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { buildingName, removeOwnTree } from './durable.ts'

/**
 * Copies of checkouts, as `lazarus run` hands them over; each is as old as its last use, which the CLI notes before
 * it pushes. A copy that is taken away from under a push is made again by it.
 */
export async function sweepInbox(
  directory: string,
  before: { readonly unused_before_ms: number; readonly unfinished_before_ms: number },
): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    const path = join(directory, name)
    const leftover = name.startsWith('.')
    const { mtimeMs } = await stat(path)
    if (mtimeMs >= (leftover ? before.unfinished_before_ms : before.unused_before_ms)) continue
    const gone = leftover ? path : buildingName(path)
    if (!leftover) await rename(path, gone)
    await removeOwnTree(gone)
  }
}
