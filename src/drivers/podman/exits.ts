import { existsSync, type FSWatcher, watch } from 'node:fs'
import type { SandboxName } from '../../contract/ids.ts'
import type { ExitFact } from '../../contract/seat.ts'
import { type Clock, isoTime } from '../../kernel/clock.ts'
import type { Log } from '../../kernel/log.ts'
import { oomKillsOf } from '../../linux/cgroup.ts'
import { isAlive } from '../../linux/process.ts'
import type { ExitNotice } from '../../ports/cell-driver.ts'
import type { ProcessId } from '../shared/records.ts'
import { endCell } from './cell-processes.ts'
import { type ExitRecord, exitFact, lostFact, readExitFile } from './exit-facts.ts'

export interface Watched {
  readonly id: string
  readonly name: SandboxName
  readonly pid: number
  readonly start_time: string
  /** conmon; null when that cannot be known. */
  readonly monitor: ProcessId | null
  /** Where its monitor writes the exit code; null when that cannot be known. */
  readonly exit_directory: string | null
  /** The cgroup that bounds its memory, where SIGKILL may have been the kernel's; null where none does. */
  readonly memory_cgroup: string | null
}

/**
 * How often each watched process is looked at: the safety net below inotify, and alone where there is no exit directory.
 * Nothing but this look notices that a monitor was killed: it is no child of ours, and the container lives on.
 */
const SWEEP_MS = 1000
const SWEEP_ALONE_MS = 25
/** A monitor writes the exit code some milliseconds after the end; one that has not by then was killed. */
const SETTLE_MS = 500
/** 128 + SIGKILL */
const KILLED = 137

/**
 * Tells deaths. conmon writes the exit code to a file named after the container; one inotify watch sees them all
 * within a millisecond. The file may vanish at once, so Podman's record is asked when it cannot be read. Podman's own
 * wait calls are not used: the compatible one burns a core, libpod's looks every 250 ms.
 */
export class ExitWatch {
  readonly #watched = new Map<string, Watched>()
  readonly #listeners = new Set<(notice: ExitNotice) => void>()
  readonly #clock: Clock
  readonly #log: Log
  readonly #recordOf: (id: string) => Promise<ExitRecord | null>
  #directory: FSWatcher | null = null
  #sweep: NodeJS.Timeout | null = null
  readonly #settling = new Set<string>()

  constructor(clock: Clock, log: Log, recordOf: (id: string) => Promise<ExitRecord | null>) {
    this.#clock = clock
    this.#log = log
    this.#recordOf = recordOf
  }

  listen(listener: (notice: ExitNotice) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  add(sandbox: Watched): void {
    if (this.#watched.has(sandbox.id)) return
    this.#watched.set(sandbox.id, sandbox)
    if (sandbox.exit_directory && !this.#directory) this.#open(sandbox.exit_directory)
    if (!this.#sweep) this.#schedule()
    if (!isAlive(sandbox.pid, sandbox.start_time)) void this.#settle(sandbox.id)
  }

  /** From here on its death is nobody's news. */
  remove(id: string): void {
    this.#watched.delete(id)
  }

  close(): void {
    this.#directory?.close()
    this.#directory = null
    if (this.#sweep) clearInterval(this.#sweep)
    this.#sweep = null
    this.#watched.clear()
    this.#listeners.clear()
  }

  #open(directory: string): void {
    try {
      const watcher = watch(directory, { persistent: false }, (_, file) => {
        if (file && this.#watched.has(file)) void this.#judge(file, 'exit file of conmon')
      })
      this.#directory = watcher.on('error', (error) => this.#fallBack(error))
      this.#schedule()
    } catch (error) {
      this.#fallBack(error)
    }
  }

  /** A cell of the same uid may have used up inotify: look more often instead. */
  #fallBack(error: unknown): void {
    this.#log.warn({ error: String(error) }, 'exits of containers cannot be watched; looking at their pids instead')
    this.#directory?.close()
    this.#directory = null
    this.#schedule()
  }

  #schedule(): void {
    if (this.#sweep) clearInterval(this.#sweep)
    this.#sweep = setInterval(() => this.#look(), this.#directory ? SWEEP_MS : SWEEP_ALONE_MS)
    this.#sweep.unref()
  }

  #look(): void {
    for (const { id, pid, start_time, monitor } of this.#watched.values()) {
      if (!isAlive(pid, start_time)) void this.#settle(id)
      else if (monitor && !isAlive(monitor.pid, monitor.start_time)) void this.#fence(id)
    }
  }

  /** Without its monitor the container runs on unheard, and its end would be told by nobody: it is ended here. */
  async #fence(id: string): Promise<void> {
    const sandbox = this.#watched.get(id)
    if (!sandbox || this.#settling.has(id)) return
    this.#settling.add(id)
    const noticed_at = isoTime(this.#clock.now())
    try {
      await endCell(sandbox)
    } catch (error) {
      this.#log.error({ container: id, error: String(error) }, 'a cell without its monitor could not be ended')
    } finally {
      this.#settling.delete(id)
    }
    if (this.#watched.delete(id)) this.#tell(sandbox, lostFact('runtime_gone', noticed_at, 'end of its monitor'))
  }

  #tell({ name }: Watched, exit: ExitFact): void {
    for (const listener of this.#listeners) listener({ name, exit })
  }

  /** The process has ended and nobody told us: the exit file is about to come, or never will. */
  async #settle(id: string): Promise<void> {
    if (this.#settling.has(id)) return
    this.#settling.add(id)
    const directory = this.#watched.get(id)?.exit_directory
    const deadline = performance.now() + (directory ? SETTLE_MS : 0)
    while (directory && !readExitFile(directory, id) && performance.now() < deadline) {
      await new Promise((go) => setTimeout(go, 10))
    }
    this.#settling.delete(id)
    await this.#judge(id, 'end of the process')
  }

  async #judge(id: string, noticed_by: string): Promise<void> {
    const sandbox = this.#watched.get(id)
    if (!sandbox) return
    const noticed_at = isoTime(this.#clock.now())
    const file = sandbox.exit_directory && readExitFile(sandbox.exit_directory, id)
    if (!file && isAlive(sandbox.pid, sandbox.start_time)) return
    this.#watched.delete(id)
    const record = () => this.#recordOf(id).catch(() => null)
    const fact = file ? { ...file, oom: file.code === KILLED && (await this.#wasOom(sandbox, record)) } : await record()
    this.#tell(sandbox, exitFact(fact, noticed_at, noticed_by))
  }

  /** The cgroup knows at once, Podman only after it has tidied up; but then the cgroup is gone. */
  async #wasOom({ memory_cgroup }: Watched, record: () => Promise<ExitRecord | null>): Promise<boolean> {
    if (memory_cgroup === null) return false
    return existsSync(memory_cgroup) ? oomKillsOf(memory_cgroup) > 0 : ((await record())?.oom ?? false)
  }
}
