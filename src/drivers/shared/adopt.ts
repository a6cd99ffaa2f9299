import type { ExitFact, SandboxHandle } from '../../contract/seat.ts'
import type { Clock } from '../../kernel/clock.ts'
import { bootId, bootOf, isAlive } from '../../linux/process.ts'
import type { Adoption } from '../../ports/cell-driver.ts'
import { endFact, factOf, goneFact } from './exit-facts.ts'
import { RECORD_WITHIN_MS } from './exit-watch.ts'
import type { SandboxRecord } from './records.ts'
import type { Workshop } from './workshop.ts'

/** Records may lie on a tmpfs: after a restart of the host the handle itself tells what happened. */
export function adoptUnrecorded({ start_time }: SandboxHandle, clock: Clock): Adoption {
  if (start_time === null || bootOf(start_time) === bootId()) return { state: 'gone' }
  return { state: 'exited', exit: endFact('host_restart', clock, 'recovery') }
}

/** How a sandbox ended that no pit watched. A shim that lives still writes the record within moments. */
export async function endOf({ records, deps: { clock } }: Workshop, record: SandboxRecord): Promise<ExitFact> {
  const { pid, start_time } = record.shim ?? { pid: null, start_time: null }
  for (const until = clock.monotonic() + RECORD_WITHIN_MS; ; ) {
    const isWriting = isAlive(pid, start_time)
    const exit = records.readExit(record)
    if (exit) return factOf(record, exit, clock, 'recovery')
    if (!isWriting || clock.monotonic() > until) return goneFact(record, clock, 'recovery')
    await new Promise((go) => setTimeout(go, 2))
  }
}
