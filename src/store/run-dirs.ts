import { mkdirSync } from 'node:fs'
import { rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { SandboxName } from '../contract/ids.ts'
import type { RunDirs } from '../ports/run-dirs.ts'

/** `<root>/<mission>/<agent>/g<generation>`: private, on a file system that outlives the pit. */
export function createRunDirs(root: string): RunDirs {
  const path = (name: SandboxName) => join(root, name.mission_id, name.agent_id, `g${name.generation}`)
  return {
    async make(name) {
      mkdirSync(path(name), { recursive: true, mode: 0o700 })
      return path(name)
    },
    async remove(name) {
      await rm(path(name), { recursive: true, force: true })
      await removeEmpty(dirname(path(name)))
      await removeEmpty(dirname(dirname(path(name))))
    },
  }
}

/** The directory goes with its last entry; one that is used, or gone, is left alone. */
async function removeEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'ENOENT') throw error
  })
}
