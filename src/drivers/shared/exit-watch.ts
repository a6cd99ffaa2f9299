import { type FSWatcher, watch } from 'node:fs'
import type { ExitFact } from '../../contract/seat.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Log } from '../../kernel/log.ts'
import { isAlive } from '../../linux/process.ts'
import type { ExitNotice } from '../../ports/cell-driver.ts'
import { factOf, goneFact } from './exit-facts.ts'
import type { ProcessId, Records, SandboxRecord } from './records.ts'

const POLL_MS = 1_000
const POLL_WITHOUT_INOTIFY_MS = 100

/** How long a shim may take between the death of its hull and the record of it. */
export const RECORD_WITHIN_MS = 2_000

interface Watched {
  readonly record: SandboxRecord
  /** Monotonic. */
  dead_since: number | null
}

type Listener = (notice: ExitNotice) => void

export interface WatchDeps {
  readonly records: Records
  readonly clock: Clock
  readonly log: Log
  /** How a directory is watched; inotify in earnest. */
  readonly watchDirectory?: (path: string, changed: (name: string | null) => void) => FSWatcher
}

const byInotify: NonNullable<WatchDeps['watchDirectory']> = (path, changed) =>
  watch(path, { persistent: false }, (_, name) => changed(name))

/**
 * Notices deaths: one inotify watch on the directory of exit records for all sandboxes, so a cell that uses inotify
 * up later takes nothing from it. Of a shim that was killed its parent tells, as long as the pit lives that had it
 * started; a slow poll finds the others.
 */
export class ExitWatch {
  readonly #deps: WatchDeps
  /** By the name of the exit record. */
  readonly #watched = new Map<string, Watched>()
  readonly #listeners = new Set<Listener>()
  #poll: NodeJS.Timeout | null = null

  constructor(deps: WatchDeps) {
    this.#deps = deps
    this.#begin()
  }

  listen(listener: Listener): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  add(record: SandboxRecord): void {
    const name = record.exit_name
    if (!this.#watched.has(name)) this.#watched.set(name, { record, dead_since: null })
    this.#look(name, 'exit record')
  }

  remove(record: SandboxRecord): void {
    this.#watched.delete(record.exit_name)
  }

  /** The shim of a sandbox has ended: the kernel ends the hull with it, if its end was not what the shim waited for. */
  shimEnded(pid: number): void {
    for (const [name, { record }] of this.#watched) if (record.shim?.pid === pid) void this.#afterShim(name)
  }

  async #afterShim(name: string): Promise<void> {
    const until = this.#deps.clock.monotonic() + RECORD_WITHIN_MS
    for (;;) {
      const watched = this.#watched.get(name)
      if (!watched || this.#look(name, 'exit record')) return
      if (!lives(watched.record.hull))
        return this.#tell(watched.record, goneFact(watched.record, this.#deps.clock, 'end of its shim'))
      if (this.#deps.clock.monotonic() > until) return
      await new Promise((go) => setTimeout(go, 1))
    }
  }

  #begin(): void {
    try {
      const watcher = (this.#deps.watchDirectory ?? byInotify)(this.#deps.records.exits, (name) => {
        if (name !== null) this.#look(name, 'exit record')
      })
      watcher.on('error', (error) => {
        watcher.close()
        this.#fallBack(error)
      })
      this.#poll = setInterval(() => this.#pollAll(), POLL_MS).unref()
    } catch (error) {
      this.#fallBack(error)
    }
  }

  #fallBack(error: unknown): void {
    this.#deps.log.warn({ err: error }, 'no inotify watch on exit records; polling instead')
    if (this.#poll) clearInterval(this.#poll)
    this.#poll = setInterval(() => this.#pollAll(), POLL_WITHOUT_INOTIFY_MS).unref()
  }

  #look(name: string, noticed_by: string): boolean {
    const watched = this.#watched.get(name)
    const exit = watched && this.#deps.records.readExit(watched.record)
    if (!watched || !exit) return false
    this.#tell(watched.record, factOf(watched.record, exit, this.#deps.clock, noticed_by))
    return true
  }

  /** A hull that is dead without a record gets a while: its shim may be writing. */
  #pollAll(): void {
    const now = this.#deps.clock.monotonic()
    for (const [name, watched] of this.#watched) {
      const { hull, shim } = watched.record
      if (this.#look(name, 'poll') || lives(hull)) continue
      watched.dead_since ??= now
      if (!lives(shim) || now - watched.dead_since >= RECORD_WITHIN_MS)
        this.#tell(watched.record, goneFact(watched.record, this.#deps.clock, 'poll'))
    }
  }

  #tell(record: SandboxRecord, exit: ExitFact): void {
    this.#watched.delete(record.exit_name)
    for (const listener of this.#listeners) listener({ name: record.name, exit })
  }
}

const lives = (process: ProcessId | null): boolean => isAlive(process?.pid ?? null, process?.start_time ?? null)
