import { mkdirSync, realpathSync } from 'node:fs'
import { asLazarusError, LazarusError } from '../kernel/errors.ts'

/** Private, and resolved: what is compared with homes and bound into cells has no symlink in it. */
export function ownDirectory(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    return realpathSync(path)
  } catch (cause) {
    const error = asLazarusError(cause)
    if (error.code === 'storage_full') throw error
    throw new LazarusError('invalid_request', `The directory ${path} cannot be made: ${error.message}`, {
      cause,
      remedy:
        'Name another one (LAZARUS_STATE_DIR, LAZARUS_MISSIONS_PATH, or missions_path in the configuration), or let this user write there.',
    })
  }
}
