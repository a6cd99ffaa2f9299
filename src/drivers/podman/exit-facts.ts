import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { ExitFact } from '../../contract/seat.ts'
import { isoTime } from '../../kernel/clock.ts'
import { signalOf } from './exec.ts'

/** What a look at Podman's record says of a container that ended. */
export interface ExitRecord {
  readonly code: number
  readonly oom: boolean
  readonly died_at: string
}

/** What conmon leaves when the container ends; null while there is none, and when Podman has taken it away. */
export function readExitFile(directory: string, id: string): { code: number; died_at: string } | null {
  try {
    const path = join(directory, id)
    const text = readFileSync(path, 'utf8').trim()
    return /^\d+$/.test(text) ? { code: Number(text), died_at: isoTime(Math.floor(statSync(path).mtimeMs)) } : null
  } catch {
    return null
  }
}

/** The container's init ends with 128 + n when a signal ended the agent. No record: the runtime lost it. */
export function exitFact(fact: ExitRecord | null, noticed_at: string, noticed_by: string): ExitFact {
  if (!fact) return lostFact('runtime_gone', noticed_at, noticed_by)
  const died_at = fact.died_at < noticed_at ? fact.died_at : noticed_at
  const signal = signalOf(fact.code)
  const cause = fact.oom ? 'oom' : signal ? 'signal' : 'exit'
  return { cause, code: fact.code, signal, died_at, noticed_at, noticed_by }
}

/** An end of which nobody kept the code. */
export function lostFact(cause: ExitFact['cause'], noticed_at: string, noticed_by: string): ExitFact {
  return { cause, code: null, signal: null, died_at: noticed_at, noticed_at, noticed_by }
}
