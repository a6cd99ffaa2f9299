import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { DeadManAlert } from '../contract/dead-man.ts'
import { LazarusError } from '../kernel/errors.ts'

/** One line per alert, whole or not at all. A pipe or a symlink that somebody put there is neither waited for nor followed. */
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK

export async function appendToFile(path: string, alert: DeadManAlert): Promise<void> {
  const file = await open(path, APPEND, 0o600)
  try {
    if (!(await file.stat()).isFile()) throw new LazarusError('conflict', `${path} is no regular file`)
    await file.appendFile(`${JSON.stringify(alert)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
}
