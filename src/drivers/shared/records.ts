import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { IsolationLevel, SandboxName } from '../../contract/ids.ts'
import type { SandboxHandle } from '../../contract/seat.ts'

/** A process by pid and start time; the pid alone proves nothing. */
export interface ProcessId {
  readonly pid: number
  readonly start_time: string
}

/** What a driver must know of a sandbox after a restart. Without secrets. */
export interface SandboxRecord {
  readonly level: IsolationLevel
  readonly name: SandboxName
  readonly run_dir: string
  /** Name of the exit record: one per attempt, so that the late word of an earlier one is not taken for it. */
  readonly exit_name: string
  readonly cgroup: string | null
  readonly shim: ProcessId | null
  /** Init of the hull: its end is the end of every process inside. */
  readonly hull: ProcessId | null
  readonly agent_pid: number | null
}

export interface ExitRecord {
  /** null when the init of the hull was killed. */
  readonly code: number | null
  readonly boot_id: string
  /** Whether nothing but the init was left by then; that runs nothing of anybody's. */
  readonly alone: boolean
  /** Milliseconds since the epoch. */
  readonly at: number
}

export const keyOf = (name: SandboxName): string => `${name.mission_id}.${name.agent_id}.${name.generation}`

export const handleOf = (record: SandboxRecord): SandboxHandle => ({
  level: record.level,
  mission_id: record.name.mission_id,
  agent_id: record.name.agent_id,
  generation: record.name.generation,
  pid: record.hull?.pid ?? null,
  start_time: record.hull?.start_time ?? null,
  agent_pid: record.agent_pid,
  container_id: null,
  run_dir: record.run_dir,
})

/** The records of one driver and one state directory: `sandboxes/<key>.json` and, left by the shim, `exits/<exit_name>`. */
export class Records {
  readonly #sandboxes: string
  readonly exits: string

  constructor(root: string) {
    this.#sandboxes = join(root, 'sandboxes')
    this.exits = join(root, 'exits')
    for (const path of [this.#sandboxes, this.exits]) mkdirSync(path, { recursive: true, mode: 0o700 })
    this.#sweep()
  }

  /** Exit records of attempts whose pit died before it wrote a record: such a sandbox ends at its gate. */
  #sweep(): void {
    const known = new Set(this.list().map(({ exit_name }) => exit_name))
    for (const name of readdirSync(this.exits)) if (!known.has(name)) rmSync(join(this.exits, name), { force: true })
  }

  #path(key: string): string {
    return join(this.#sandboxes, `${key}.json`)
  }

  exitPath(record: SandboxRecord): string {
    return join(this.exits, record.exit_name)
  }

  /** Not synced to the disk: after a crash of the host there is no sandbox to find. */
  write(record: SandboxRecord): void {
    const path = this.#path(keyOf(record.name))
    writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 })
    renameSync(`${path}.new`, path)
  }

  read(key: string): SandboxRecord | null {
    try {
      return JSON.parse(readFileSync(this.#path(key), 'utf8')) as SandboxRecord
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw error
    }
  }

  list(): SandboxRecord[] {
    const names = readdirSync(this.#sandboxes).filter((name) => name.endsWith('.json'))
    return names.flatMap((name) => this.read(name.slice(0, -'.json'.length)) ?? [])
  }

  /** null while there is none or it is not whole. */
  readExit(record: SandboxRecord): ExitRecord | null {
    try {
      const path = this.exitPath(record)
      const match = /^\n(\d*) (\S+)( alone)?\n$/.exec(readFileSync(path, 'utf8'))
      if (!match) return null
      const [, code, boot_id, alone] = match
      const at = statSync(path).mtimeMs
      return { code: code === '' ? null : Number(code), boot_id: boot_id!, alone: alone !== undefined, at }
    } catch {
      return null
    }
  }

  remove(record: SandboxRecord): void {
    rmSync(this.exitPath(record), { force: true })
    rmSync(this.#path(keyOf(record.name)), { force: true })
  }
}
