import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CELL_FOLDERS } from '../contract/cell.ts'
import type { RecordedEvent } from '../contract/event.ts'
import { agentViews, cellViews, heartbeatView } from '../domain/cell-views.ts'
import type { MissionState } from '../domain/mission.ts'
import { isoTime } from '../kernel/clock.ts'
import type { EventLog } from '../ports/event-log.ts'
import { removeTemporaries, writeAtomic } from './atomic-file.ts'
import { findPosition, type LogPosition, openLog, writeEvents } from './mission-log.ts'

const LOG = 'logs/mission.log'

/** What stays writable in an archived cell. */
const IDENTITY = ['cell.json', 'meta/mission.json']

/** As people read it; a file is compared and written as this text. */
const asText = (view: unknown): string => `${JSON.stringify(view, null, 2)}\n`

/** Whether a change of the mission itself may show in every agent's file; else only the agents named are looked at. */
const touched = (events: readonly RecordedEvent[]): ReadonlySet<string> | 'all' =>
  events.some((event) => event.agent_id === null) ? 'all' : new Set(events.flatMap((event) => event.agent_id ?? []))

/**
 * The files of one mission. Remembers what it wrote, so that an event costs one or two files and not all of them;
 * a new process writes every file once.
 */
export class MissionFiles {
  readonly #directory: string
  readonly #ledger: Pick<EventLog, 'read'>
  readonly #written = new Map<string, string>()
  #log: LogPosition | null = null
  #swept = false

  constructor(directory: string, ledger: Pick<EventLog, 'read'>) {
    this.#directory = directory
    this.#ledger = ledger
  }

  async write(state: MissionState, events: readonly RecordedEvent[], now_ms: number): Promise<void> {
    await this.#sweepOnce()
    const known = this.#log !== null
    await this.writeLog(state.mission_id, events)
    const views = Object.entries(cellViews(state))
    if (state.status === 'archived') {
      await this.#writeAll(views.filter(([name]) => IDENTITY.includes(name)))
      return
    }
    await Promise.all([
      this.#writeAll(views),
      this.#writeAgents(state, known ? touched(events) : 'all'),
      this.heartbeat(state, now_ms),
    ])
  }

  async heartbeat(state: MissionState, at_ms: number): Promise<void> {
    await writeAtomic(this.#path('state/heartbeat.json'), asText(heartbeatView(state, isoTime(at_ms))), {
      durable: false,
    })
  }

  async #writeAgents(state: MissionState, agents: ReadonlySet<string> | 'all'): Promise<void> {
    const views = agentViews(state)
    const looked = [...(agents === 'all' ? state.seats.keys() : agents)]
    const here = looked.flatMap((id) => (views.has(id) ? [[`agents/${id}.json`, views.get(id)] as const] : []))
    const gone = looked.filter((id) => !views.has(id)).map((id) => `agents/${id}.json`)
    await Promise.all([this.#writeAll(here), ...gone.map((name) => this.#remove(name))])
  }

  async #writeAll(views: readonly (readonly [string, unknown])[]): Promise<void> {
    await Promise.all(views.map(([name, view]) => this.#writeChanged(name, asText(view))))
  }

  async #writeChanged(name: string, text: string): Promise<void> {
    if (this.#written.get(name) === text) return
    await writeAtomic(this.#path(name), text, { durable: false })
    this.#written.set(name, text)
  }

  async #remove(name: string): Promise<void> {
    this.#written.delete(name)
    await rm(this.#path(name), { force: true })
  }

  /** The events given are what usually lacks; what a crash kept from being written is read again from the ledger. */
  async writeLog(mission_id: string, events: readonly RecordedEvent[] = []): Promise<void> {
    await using file = await openLog(this.#path(LOG))
    const position = this.#log ?? (await findPosition(file))
    // Until the write succeeded, the position is not known: a full disk may leave half a line.
    this.#log = null
    const next = events.filter((event) => event.version > position.version)
    const whole = next[0]?.version === position.version + 1
    const missing = whole ? next : [...this.#ledger.read({ mission_id, after: position.seq })]
    this.#log = await writeEvents(file, position, missing)
  }

  async #sweepOnce(): Promise<void> {
    if (this.#swept) return
    for (const folder of ['', ...CELL_FOLDERS.filter((name) => name !== 'artifacts' && name !== 'worktree')]) {
      await removeTemporaries(this.#path(folder))
    }
    this.#swept = true
  }

  #path(name: string): string {
    return join(this.#directory, name)
  }
}
