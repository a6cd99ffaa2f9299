import type { SandboxName } from '../contract/ids.ts'

/** Private directories that hold a driver's records of one sandbox; they outlive the pit, not the sandbox. */
export interface RunDirs {
  make(name: SandboxName): Promise<string>
  remove(name: SandboxName): Promise<void>
}
