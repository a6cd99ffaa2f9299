import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { SandboxName } from '../contract/ids.ts'
import type { RunDirs } from '../ports/run-dirs.ts'

/** `<root>/<mission>/<agent>/g<generation>`: private, on a file system that outlives the pit. */
export function createRunDirs(root: string): RunDirs {
  const path = (name: SandboxName) => join(root, name.mission_id, name.agent_id, `g${name.generation}`)
  return {
    async make(name) {
      await mkdir(path(name), { recursive: true, mode: 0o700 })
      return path(name)
    },
    async remove(name) {
      await rm(path(name), { recursive: true, force: true })
    },
  }
}
