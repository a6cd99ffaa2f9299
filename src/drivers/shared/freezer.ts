import { sendSignal } from '../../linux/process.ts'
import type { RunningExecs } from './exec.ts'
import { ExecStarts } from './exec-starts.ts'
import { freezeByCgroup, freezeBySignal } from './freeze.ts'
import { keyOf, type ProcessId, type SandboxRecord } from './records.ts'

type Living = SandboxRecord & { readonly hull: ProcessId }

/** Freezes sandboxes with the execs that run in them. */
export class Freezer {
  readonly starts = new ExecStarts()
  readonly #execs = new Map<string, RunningExecs>()

  execsOf(key: string): RunningExecs {
    const execs = this.#execs.get(key) ?? { leaders: new Set(), ended: false }
    this.#execs.set(key, execs)
    return execs
  }

  /** Of a sandbox that has ended. */
  forget(key: string): void {
    this.#execs.delete(key)
    this.starts.release(key)
  }

  /** What was stopped on the way to a halt that did not come goes on. */
  async freeze(record: Living): Promise<void> {
    const key = keyOf(record.name)
    try {
      await this.starts.hold(key)
      await this.#signal(record, true)
    } catch (error) {
      await this.thaw(record)
      throw error
    }
  }

  async thaw(record: Living): Promise<void> {
    const key = keyOf(record.name)
    await this.#signal(record, false)
    // nsenter stops along with the command that it waits for, and nobody inside can wake it.
    for (const pid of this.execsOf(key).leaders) sendSignal(-pid, 'SIGCONT')
    this.starts.release(key)
  }

  async #signal({ name, hull, cgroup }: Living, frozen: boolean): Promise<void> {
    if (cgroup !== null) await freezeByCgroup(cgroup, frozen)
    else await freezeBySignal(hull, this.execsOf(keyOf(name)), frozen)
  }
}
