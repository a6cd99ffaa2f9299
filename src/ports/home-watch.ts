import type { Seal, SealRequest, Verification } from '../contract/home.ts'

export interface HomeWatch {
  seal(request: SealRequest, abort: AbortSignal): Promise<Seal>
  verify(seal_id: string, abort: AbortSignal): Promise<Verification>
  discard(seal_id: string): Promise<void>
  /** The homes that the globs of the registry name now, resolved. */
  registered(): Promise<readonly string[]>
  /** Throws home_mount_refused when the path, after resolving every symlink, is, contains or lies in a home. */
  refuseHome(path: string): Promise<void>
}
