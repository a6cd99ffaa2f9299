import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { git, gitReason, text } from './git.ts'

/** git's own thresholds (gc.auto, gc.autoPackLimit): from here on every look-up pays for the number. */
const MOST_LOOSE = 6700
const MOST_PACKS = 50
const TIMEOUT_MS = 120_000

/**
 * Puts the many small packs that fetches bring together. Geometric: the large pack of the beginning stays as it is, so
 * the cost is that of the small ones. Whole packs are joined, whether anything refers to their objects or not: bases,
 * trusted repositories and seats borrow objects that the origin has long forgotten. Whoever reads meanwhile finds every
 * object in one pack or the other, as with every repack of git. null: nothing to do, or done; else why not.
 */
export async function packMirror(repository: string, unfinished_before_ms: number): Promise<string | null> {
  await sweepTemporaryPacks(join(repository, 'objects', 'pack'), unfinished_before_ms)
  const counts = await git(['count-objects', '-v'], { repository, max_stdout_bytes: 4096 })
  const count = (name: string) => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text(counts))?.[1] ?? 0)
  if (count('count') <= MOST_LOOSE && count('packs') <= MOST_PACKS) return null
  const done = await git(['repack', '--geometric=2', '-d', '-q'], {
    repository,
    timeout_ms: TIMEOUT_MS,
    config: { 'pack.threads': '1', 'pack.windowMemory': '256m', 'repack.writeBitmaps': 'false' },
  })
  if (done.exit_code === 0) return null
  return done.ended === 'timeout' ? `not done within ${TIMEOUT_MS / 1000} s` : gitReason(done.stderr)
}

/** What a repack that was killed has left. */
async function sweepTemporaryPacks(directory: string, unfinished_before_ms: number): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith('.tmp-') && !name.startsWith('tmp_')) continue
    const path = join(directory, name)
    const made = await stat(path).catch(() => null)
    if (made !== null && made.mtimeMs < unfinished_before_ms) await rm(path, { force: true })
  }
}
