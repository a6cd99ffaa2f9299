import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Entropy } from '../kernel/clock.ts'

/** Makes `<state_dir>/operator.token` at the first start. Resolves to the hash: the pit keeps no more. */
export function operatorTokenHash(stateDir: string, entropy: Entropy): string {
  const path = join(stateDir, 'operator.token')
  try {
    writeFileSync(path, `${entropy.token(32)}\n`, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return createHash('sha256').update(readFileSync(path, 'utf8').trim()).digest('hex')
}
