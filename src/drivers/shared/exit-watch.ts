import { type FSWatcher, watch } from 'node:fs'
import type { ExitFact } from '../../contract/seat.ts'
import { type Clock, isoTime } from '../../kernel/clock.ts'
import type { Log } from '../../kernel/log.ts'
import { oomKillsOf } from '../../linux/cgroup.ts'
import { bootId, bootOf, isAlive } from '../../linux/process.ts'
import { signalName } from '../../linux/signals.ts'
import type { ExitNotice } from '../../ports/cell-driver.ts'
import type { ExitRecord, Records, SandboxRecord } from './records.ts'

const POLL_MS = 5_000
const POLL_WITHOUT_INOTIFY_MS = 100

type Listener = (notice: ExitNotice) => void

export interface WatchDeps {
  readonly records: Records
  readonly clock: Clock
  readonly log: Log
}

/**
 * Notices deaths: one inotify watch on the directory of exit records for all sandboxes, so a cell that uses inotify
 * up later takes nothing from it. A slow poll finds what no record tells, because the shim itself was killed.
 */
export class ExitWatch {
  readonly #deps: WatchDeps
  /** By the name of the exit record. */
  readonly #watched = new Map<string, { record: SandboxRecord; missed: boolean }>()
  readonly #listeners = new Set<Listener>()
  #watcher: FSWatcher | null = null
  #poll: NodeJS.Timeout | null = null

  constructor(deps: WatchDeps) {
    this.#deps = deps
  }

  listen(listener: Listener): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  add(record: SandboxRecord): void {
    this.#start()
    const name = record.exit_name
    if (!this.#watched.has(name)) this.#watched.set(name, { record, missed: false })
    this.#look(name, 'exit record')
  }

  remove(record: SandboxRecord): void {
    this.#watched.delete(record.exit_name)
  }

  #start(): void {
    if (this.#poll) return
    const every = this.#watchDirectory() ? POLL_MS : POLL_WITHOUT_INOTIFY_MS
    this.#poll = setInterval(() => this.#pollAll(), every).unref()
  }

  #watchDirectory(): boolean {
    const fall = (error: unknown) => {
      this.#deps.log.warn({ err: error }, 'no inotify watch on exit records; polling instead')
      this.#watcher?.close()
      if (this.#poll) clearInterval(this.#poll)
      this.#poll = setInterval(() => this.#pollAll(), POLL_WITHOUT_INOTIFY_MS).unref()
    }
    try {
      this.#watcher = watch(this.#deps.records.exits, { persistent: false }, (_, name) => {
        if (name !== null) this.#look(name, 'exit record')
      })
      this.#watcher.on('error', fall)
      return true
    } catch (error) {
      this.#deps.log.warn({ err: error }, 'no inotify watch on exit records; polling instead')
      return false
    }
  }

  #look(name: string, noticed_by: string): boolean {
    const watched = this.#watched.get(name)
    const exit = watched && this.#deps.records.readExit(watched.record)
    if (!watched || !exit) return false
    this.#tell(watched.record, factOf(watched.record, exit, this.#deps.clock, noticed_by))
    return true
  }

  /** A hull that is dead without a record gets one more round: its shim may be writing. */
  #pollAll(): void {
    for (const [name, watched] of this.#watched) {
      const { hull } = watched.record
      if (this.#look(name, 'poll') || isAlive(hull?.pid ?? null, hull?.start_time ?? null)) continue
      if (watched.missed) this.#tell(watched.record, goneFact(watched.record, this.#deps.clock, 'poll'))
      watched.missed = true
    }
  }

  #tell(record: SandboxRecord, exit: ExitFact): void {
    this.#watched.delete(record.exit_name)
    for (const listener of this.#listeners) listener({ name: record.name, exit })
  }
}

/** Exit codes 129 to 192 are how a shell tells signals; a program that ends with one itself looks the same. */
export function factOf(record: SandboxRecord, exit: ExitRecord, clock: Clock, noticed_by: string): ExitFact {
  const signal = signalName(exit.code)
  const oom = signal === 'SIGKILL' && record.cgroup !== null && oomKillsOf(record.cgroup) > 0
  return {
    cause: oom ? 'oom' : signal === null ? 'exit' : 'signal',
    code: exit.code,
    signal,
    died_at: isoTime(Math.floor(exit.at)),
    noticed_at: isoTime(Math.max(clock.now(), Math.floor(exit.at))),
    noticed_by,
  }
}

/** The end of a sandbox that left no record: the host was restarted, or the shim was killed first. */
export function goneFact(record: SandboxRecord, clock: Clock, noticed_by: string): ExitFact {
  const restarted = record.hull !== null && bootOf(record.hull.start_time) !== bootId()
  return endFact(restarted ? 'host_restart' : 'runtime_gone', clock, noticed_by)
}

export function endFact(cause: ExitFact['cause'], clock: Clock, noticed_by: string): ExitFact {
  const now = isoTime(clock.now())
  return { cause, code: null, signal: null, died_at: now, noticed_at: now, noticed_by }
}
