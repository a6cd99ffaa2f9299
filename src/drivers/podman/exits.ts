import { type FSWatcher, readFileSync, statSync, watch } from 'node:fs'
import { join } from 'node:path'
import type { SandboxName } from '../../contract/ids.ts'
import type { ExitFact } from '../../contract/seat.ts'
import { type Clock, isoTime } from '../../kernel/clock.ts'
import type { Log } from '../../kernel/log.ts'
import { isAlive } from '../../linux/process.ts'
import type { ExitNotice } from '../../ports/cell-driver.ts'
import { signalOf } from './exec.ts'

export interface Watched {
  readonly id: string
  readonly name: SandboxName
  readonly pid: number
  readonly start_time: string
  /** Where its monitor writes the exit code; null when that cannot be known. */
  readonly exit_directory: string | null
  /** Whether a cgroup bounds its memory, so that SIGKILL may have been the kernel's. */
  readonly memory_bounded: boolean
}

/** What a look at Podman's record says of a container that ended. */
export interface ExitRecord {
  readonly code: number
  readonly oom: boolean
  readonly died_at: string
}

/** How often each watched pid is looked at: the safety net below inotify, and alone where there is no exit directory. */
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
    for (const { id, pid, start_time } of this.#watched.values()) {
      if (!isAlive(pid, start_time)) void this.#settle(id)
    }
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
    const killed = file && file.code === KILLED && sandbox.memory_bounded
    const fact = file ? { ...file, oom: killed ? ((await record())?.oom ?? false) : false } : await record()
    const exit = exitFact(fact, noticed_at, noticed_by)
    for (const listener of this.#listeners) listener({ name: sandbox.name, exit })
  }
}

function readExitFile(directory: string, id: string): { code: number; died_at: string } | null {
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
  if (!fact) return { cause: 'runtime_gone', code: null, signal: null, died_at: noticed_at, noticed_at, noticed_by }
  const died_at = fact.died_at < noticed_at ? fact.died_at : noticed_at
  const signal = signalOf(fact.code)
  const cause = fact.oom ? 'oom' : signal ? 'signal' : 'exit'
  return { cause, code: signal ? null : fact.code, signal, died_at, noticed_at, noticed_by }
}
