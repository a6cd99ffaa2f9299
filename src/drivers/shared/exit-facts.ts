import type { ExitFact } from '../../contract/seat.ts'
import { type Clock, isoTime } from '../../kernel/clock.ts'
import { oomKillsOf } from '../../linux/cgroup.ts'
import { bootId, bootOf } from '../../linux/process.ts'
import { signalName } from '../../linux/signals.ts'
import type { ExitRecord, SandboxRecord } from './records.ts'

/** 128 + SIGKILL */
const KILLED = 137

/** Exit codes 129 to 192 are how a shell tells signals; a program that ends with one itself looks the same. */
export function factOf(record: SandboxRecord, exit: ExitRecord, clock: Clock, noticed_by: string): ExitFact {
  const oom = wasOutOfMemory(record, exit)
  const code = oom ? KILLED : exit.code
  const signal = code === null ? null : signalName(code)
  return {
    cause: oom ? 'oom' : code === null ? 'runtime_gone' : signal === null ? 'exit' : 'signal',
    code,
    signal,
    died_at: isoTime(Math.floor(exit.at)),
    noticed_at: isoTime(Math.max(clock.now(), Math.floor(exit.at))),
    noticed_by,
  }
}

/** The kernel ends the whole cgroup, the init of the hull with it, which then tells no code. */
const wasOutOfMemory = ({ cgroup }: SandboxRecord, { code }: ExitRecord): boolean =>
  (code === null || code === KILLED) && cgroup !== null && oomKillsOf(cgroup) > 0

/** The end of a sandbox that left no record: the host was restarted, or the shim was killed first. */
export function goneFact(record: SandboxRecord, clock: Clock, noticed_by: string): ExitFact {
  const restarted = record.hull !== null && bootOf(record.hull.start_time) !== bootId()
  return endFact(restarted ? 'host_restart' : 'runtime_gone', clock, noticed_by)
}

export function endFact(cause: ExitFact['cause'], clock: Clock, noticed_by: string): ExitFact {
  const now = isoTime(clock.now())
  return { cause, code: null, signal: null, died_at: now, noticed_at: now, noticed_by }
}
