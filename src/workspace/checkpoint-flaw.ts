import type { Checkpoint } from '../contract/checkpoint.ts'
import { LazarusError } from '../kernel/errors.ts'
import { TarFault } from './tar-header.ts'

/** Something that differs from what was written. */
export class Flaw extends Error {}

/** Any error of a reading: as checkpoint_corrupt where the checkpoint is at fault, else as it is. */
export function asCorrupt(checkpoint: Checkpoint, directory: string, error: unknown): unknown {
  const what = whatIsWrong(directory, error)
  if (what === null) return error
  const { checkpoint_id, mission_id, agent_id } = checkpoint
  return new LazarusError(
    'checkpoint_corrupt',
    `The checkpoint ${checkpoint_id} of ${agent_id} in mission ${mission_id} is not what was written: ${what}`,
    { details: { checkpoint_id }, cause: error },
  )
}

/** null: the host itself is at fault, by a full disk, too few descriptors, an error of the airlock. */
function whatIsWrong(directory: string, error: unknown): string | null {
  const { code, path, message, name } = error as NodeJS.ErrnoException
  if (error instanceof Flaw || error instanceof TarFault || error instanceof SyntaxError) return message
  if (name === 'ZodError' || /^(ZSTD_|Z_)/.test(String(code))) return message
  if (path === undefined || !(isWithin(path, directory) || isWithin(directory, path))) return null
  if (code === 'ENOENT') return 'a file of it is missing'
  return code === 'EINVAL' || code === 'ELOOP' ? message : null
}

const isWithin = (path: string, directory: string): boolean => path === directory || path.startsWith(`${directory}/`)
