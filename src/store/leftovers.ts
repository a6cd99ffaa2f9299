import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { missionId } from '../contract/ids.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Leftovers } from '../ports/leftovers.ts'
import { sweepHalfLaid } from './half-laid.ts'
import { removeTree } from './remove-tree.ts'

/** A mission that is being opened may have its directory before the ledger has its name. */
const YOUNG_MS = 3_600_000

/**
 * Each of the directories holds one directory per mission, by its id; anything else is left alone. Below the missions
 * path only what has the mark of a mission that was never opened whole goes.
 */
export function createLeftovers(directories: readonly string[], missionsPath: string, clock: Clock): Leftovers {
  return {
    async sweep(isAlive) {
      await sweepHalfLaid(missionsPath, isAlive, clock.now() - YOUNG_MS)
      for (const directory of directories) {
        for (const name of await readdir(directory).catch(() => [])) {
          if (!missionId.safeParse(name).success || isAlive(name)) continue
          const path = join(directory, name)
          const facts = await stat(path).catch(() => null)
          if (facts !== null && facts.mtimeMs < clock.now() - YOUNG_MS) await removeTree(path)
        }
      }
    },
  }
}
