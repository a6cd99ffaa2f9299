import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CELL_FOLDERS } from '../contract/cell.ts'
import type { RecordedEvent } from '../contract/event.ts'
import { agentView, cellViews, heartbeatView } from '../domain/cell-views.ts'
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

/** Which files events may change: those of the mission, and those of agents. A mission of a thousand seats must not pay for all of them at each. */
interface Scope {
  readonly mission: boolean
  readonly agents: ReadonlySet<string>
}

function scopeOf(events: readonly RecordedEvent[], state: MissionState, first: boolean): Scope {
  const whole = first || events.some((event) => event.agent_id === null)
  if (whole) return { mission: true, agents: new Set(state.seats.keys()) }
  return {
    mission: events.some((event) => event.type === 'seat_requested' || event.type === 'seat_withdrawn'),
    agents: new Set(events.flatMap((event) => event.agent_id ?? [])),
  }
}

type Job = () => Promise<void>

/** Open files at the same time: a mission of ten thousand seats must not use up the pit's descriptors. */
const AT_ONCE = 16

/** Ends when all have ended, and throws the first failure: a write that is still under way must not overtake a later one. */
async function runAll(jobs: readonly Job[]): Promise<void> {
  const waiting = [...jobs].reverse()
  const worker = async () => {
    for (let job = waiting.pop(); job; job = waiting.pop()) await job()
  }
  const ends = await Promise.allSettled(Array.from({ length: Math.min(AT_ONCE, jobs.length) }, worker))
  const failed = ends.find((end) => end.status === 'rejected')
  if (failed) throw failed.reason
}

/**
 * The files of one mission. Remembers what it wrote, so that an event costs one or two files and not all of them;
 * the first write of a process, and the one after a failure, looks at every file.
 */
export class MissionFiles {
  readonly #directory: string
  readonly #ledger: Pick<EventLog, 'read'>
  readonly #written = new Map<string, string>()
  #log: LogPosition | null = null
  /** Whether the last write went through: else the next one looks at every file. */
  #complete = false

  constructor(directory: string, ledger: Pick<EventLog, 'read'>) {
    this.#directory = directory
    this.#ledger = ledger
  }

  async write(state: MissionState, events: readonly RecordedEvent[], now_ms: number): Promise<void> {
    const first = !this.#complete
    if (first) await this.#sweep()
    this.#complete = false
    const views =
      state.status === 'archived' ? this.#identity(state) : this.#views(state, scopeOf(events, state, first), now_ms)
    await runAll([() => this.writeLog(state.mission_id, events), ...views])
    this.#complete = true
  }

  async heartbeat(state: MissionState, at_ms: number): Promise<void> {
    await writeAtomic(this.#path('state/heartbeat.json'), asText(heartbeatView(state, isoTime(at_ms))), {
      durable: false,
    })
  }

  #identity(state: MissionState): Job[] {
    return this.#write(Object.entries(cellViews(state)).filter(([name]) => IDENTITY.includes(name)))
  }

  #views(state: MissionState, { mission, agents }: Scope, now_ms: number): Job[] {
    const ofAgents = [...agents].map((agent_id) => () => this.#writeAgent(state, agent_id))
    if (!mission) return ofAgents
    return [...this.#write(Object.entries(cellViews(state))), () => this.heartbeat(state, now_ms), ...ofAgents]
  }

  #write(views: readonly (readonly [string, unknown])[]): Job[] {
    return views.map(
      ([name, view]) =>
        () =>
          this.#writeChanged(name, asText(view)),
    )
  }

  async #writeAgent(state: MissionState, agent_id: string): Promise<void> {
    const name = `agents/${agent_id}.json`
    const view = agentView(state, agent_id)
    if (view) return this.#writeChanged(name, asText(view))
    this.#written.delete(name)
    await rm(this.#path(name), { force: true })
  }

  async #writeChanged(name: string, text: string): Promise<void> {
    if (this.#written.get(name) === text) return
    await writeAtomic(this.#path(name), text, { durable: false })
    this.#written.set(name, text)
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

  async #sweep(): Promise<void> {
    for (const folder of ['', ...CELL_FOLDERS.filter((name) => name !== 'artifacts' && name !== 'worktree')]) {
      await removeTemporaries(this.#path(folder))
    }
  }

  #path(name: string): string {
    return join(this.#directory, name)
  }
}
