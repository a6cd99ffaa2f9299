import type { DomainEvent, RecordedEvent } from '../contract/event.ts'
import { evolve, fold, type MissionState } from '../domain/mission.ts'
import { hasWaiting } from '../domain/revival.ts'
import type { SeatState } from '../domain/seat.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { KeyedQueue } from '../kernel/queues.ts'
import type { CellDirectory } from '../ports/cell-directory.ts'
import type { EventLog } from '../ports/event-log.ts'

interface Deps {
  readonly ledger: EventLog
  readonly cells: CellDirectory
  readonly log: Log
}

export type Decide = (state: MissionState) => readonly DomainEvent[]

/**
 * Every mission's state, folded from the ledger, and the only way to change it: decide, append, fold, write the
 * views. Decisions on one mission are made one after the other, each on the state that the one before left.
 */
export class MissionBook {
  readonly #deps: Deps
  readonly #states = new Map<string, MissionState>()
  readonly #queue = new KeyedQueue()
  readonly #views = new KeyedQueue()
  readonly #nextViews = new Map<string, { state: MissionState; events: RecordedEvent[]; written: Promise<void> }>()
  readonly #withRevivals = new Set<string>()
  /** Called after each change, with the state before and after, and the seats that are not as before. */
  onChange: ((before: MissionState | null, after: MissionState, changed: readonly SeatState[]) => void) | null = null

  constructor(deps: Deps) {
    this.#deps = deps
  }

  load(): void {
    for (const event of this.#deps.ledger.read()) {
      this.#remember(event.mission_id, evolve(this.#states.get(event.mission_id) ?? null, event), [event])
    }
  }

  all(): readonly MissionState[] {
    return [...this.#states.values()]
  }

  /** Those in which a death waits to be undone. */
  withRevivals(): readonly MissionState[] {
    return [...this.#withRevivals].map((mission_id) => this.get(mission_id))
  }

  get(mission_id: string): MissionState {
    const state = this.#states.get(mission_id)
    if (!state) throw new LazarusError('mission_not_found', `There is no mission ${mission_id}`)
    return state
  }

  has(mission_id: string): boolean {
    return this.#states.has(mission_id)
  }

  async create(mission_id: string, event: DomainEvent & { type: 'mission_created' }): Promise<MissionState> {
    return this.#queue.run(mission_id, async () => {
      const recorded = await this.#deps.ledger.append(mission_id, 0, [event])
      const state = fold(recorded)!
      this.#remember(mission_id, state, recorded)
      await this.#deps.cells.write(state, recorded)
      return state
    })
  }

  /**
   * Appends what `decide` says about the present state; resolves to the state after it, once that is durable and, unless
   * only `begun` is asked for, its views are written. Who asks for `begun` commits once more before it answers: views
   * are written one after the other.
   */
  async commit(mission_id: string, decide: Decide, views: 'written' | 'begun' = 'written'): Promise<MissionState> {
    const { state, written } = await this.#queue.run(mission_id, () => this.#append(mission_id, decide))
    if (views === 'written') await written
    return state
  }

  async #append(mission_id: string, decide: Decide): Promise<{ state: MissionState; written: Promise<void> }> {
    const before = this.get(mission_id)
    const events = decide(before)
    if (events.length === 0) return { state: before, written: Promise.resolve() }
    const recorded = await this.#deps.ledger.append(mission_id, before.version, events)
    const state = fold(recorded, before)!
    this.#remember(mission_id, state, recorded)
    return { state, written: this.#viewLater(state, recorded) }
  }

  /** Commits that come while views are being written share the next write. */
  #viewLater(state: MissionState, recorded: readonly RecordedEvent[]): Promise<void> {
    const { mission_id } = state
    const waiting = this.#nextViews.get(mission_id)
    if (waiting) {
      waiting.state = state
      waiting.events.push(...recorded)
      return waiting.written
    }
    const next = { state, events: [...recorded], written: Promise.resolve() }
    this.#nextViews.set(mission_id, next)
    next.written = this.#views.run(mission_id, () => {
      this.#nextViews.delete(mission_id)
      return this.#view(next.state, next.events)
    })
    return next.written
  }

  /** A view that cannot be written (a full disk) is made up for by the next write; the ledger holds the truth. */
  async #view(state: MissionState, recorded: Parameters<CellDirectory['write']>[1]): Promise<void> {
    if (state.status === 'destroyed') return
    try {
      await this.#deps.cells.write(state, recorded)
    } catch (error) {
      this.#deps.log.warn({ err: error, mission_id: state.mission_id }, 'the cell directory lags behind the ledger')
    }
  }

  #remember(mission_id: string, state: MissionState, events: readonly RecordedEvent[]): void {
    const before = this.#states.get(mission_id) ?? null
    this.#states.set(mission_id, state)
    if (hasWaiting(state)) this.#withRevivals.add(mission_id)
    else this.#withRevivals.delete(mission_id)
    this.onChange?.(before, state, changedSeats(before, state, events))
  }
}

/** An event of the mission itself may change all of them. */
function changedSeats(
  before: MissionState | null,
  after: MissionState,
  events: readonly RecordedEvent[],
): readonly SeatState[] {
  const named = new Set(events.map(({ agent_id }) => agent_id))
  const seats = named.has(null) ? [...after.seats.values()] : [...named].flatMap((id) => after.seats.get(id!) ?? [])
  return seats.filter((seat) => before?.seats.get(seat.agent_id) !== seat)
}
