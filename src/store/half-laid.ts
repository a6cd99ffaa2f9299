import { mkdir, readdir, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { missionId } from '../contract/ids.ts'
import { removeTree } from './remove-tree.ts'

/**
 * Tells a cell directory of ours, whose mission the ledger does not know yet, from one that somebody made by hand. The
 * first write of the views removes it with every other temporary file: by then the mission is recorded.
 */
export const OPENING = '.opening.tmp'

const STAGING = '.laying-'

/** Makes a cell directory that has the mark from its first moment. false: there is one already, and it gets none. */
export async function layDirectory(missionsPath: string, mission_id: string): Promise<boolean> {
  const final = join(missionsPath, mission_id)
  if (await modifiedAt(final)) return false
  const staging = join(missionsPath, STAGING + mission_id)
  await mkdir(staging, { recursive: true, mode: 0o700 })
  await writeFile(join(staging, OPENING), '', { mode: 0o600 })
  await rename(staging, final)
  return true
}

/** Deletes what pits left that were killed while they opened a mission. */
export async function sweepHalfLaid(
  missionsPath: string,
  isAlive: (mission_id: string) => boolean,
  before_ms: number,
): Promise<void> {
  for (const name of await readdir(missionsPath).catch(() => [])) {
    const path = join(missionsPath, name)
    if (name.startsWith(STAGING)) {
      if (isOld(await modifiedAt(path), before_ms)) await removeTree(path)
    } else if (missionId.safeParse(name).success && !isAlive(name)) {
      if (isOld(await modifiedAt(join(path, OPENING)), before_ms)) await removeMarked(missionsPath, name)
    }
  }
}

/** Away from its name first: a removal that is interrupted must not leave a directory without the mark. */
async function removeMarked(missionsPath: string, mission_id: string): Promise<void> {
  const gone = join(missionsPath, STAGING + mission_id)
  await removeTree(gone)
  await rename(join(missionsPath, mission_id), gone)
  await removeTree(gone)
}

const isOld = (modified_ms: number | null, before_ms: number): boolean =>
  modified_ms !== null && modified_ms < before_ms

const modifiedAt = (path: string): Promise<number | null> =>
  stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => null,
  )
