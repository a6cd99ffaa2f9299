import { type MissionState, type SeatState, seatOf } from '../domain/mission.ts'
import { dueRevivals, revivalFailed, timeOutRevival, waiting, waitsMs } from '../domain/revival.ts'
import { epochOf } from '../kernel/clock.ts'
import { asLazarusError } from '../kernel/errors.ts'
import { type Context, moment, seatKey } from './context.ts'
import { reviveInQueue, substitute } from './revive-seat.ts'

/** Node's timers hold no more than this. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

interface Due {
  readonly mission_id: string
  readonly agent_id: string
  readonly revival_id: string
}

/**
 * Brings the dead back: takes what is due from the queue that the ledger holds. A few at a time, so that a mass death
 * becomes no stampede, and the mission that has the fewest at work goes first, so that a large one starves no other.
 */
export class Supervisor implements Disposable {
  readonly #ctx: Context
  readonly #running = new Map<string, number>()
  readonly #taken = new Set<string>()
  #timer: NodeJS.Timeout | null = null
  #stopped = false
  #started = false

  constructor(ctx: Context) {
    this.#ctx = ctx
  }

  /** After recovery: until then the queue only grows. */
  start(): void {
    this.#started = true
    this.look()
  }

  /** To be called whenever a mission changed. */
  look(): void {
    if (this.#stopped || !this.#started) return
    const now_ms = this.#ctx.clock.now()
    this.#giveUp(now_ms)
    for (let due = this.#next(now_ms); due; due = this.#next(now_ms)) void this.#revive(due)
    this.#sleep(now_ms)
  }

  [Symbol.dispose](): void {
    this.#stopped = true
    if (this.#timer) clearTimeout(this.#timer)
  }

  #next(now_ms: number): Due | null {
    if (this.#taken.size >= this.#ctx.config.revivals_at_once) return null
    const due = this.#ctx.book
      .withRevivals()
      .flatMap((state) => dueRevivals(state, now_ms).map((seat) => dueOf(state, seat)))
      .filter(({ revival_id }) => !this.#taken.has(revival_id))
    const load = ({ mission_id }: Due) => this.#running.get(mission_id) ?? 0
    return due.toSorted((a, b) => load(a) - load(b))[0] ?? null
  }

  #revive(due: Due): Promise<void> {
    const { mission_id, revival_id } = due
    this.#taken.add(revival_id)
    this.#running.set(mission_id, (this.#running.get(mission_id) ?? 0) + 1)
    return this.#attempt(due)
      .catch((error: unknown) => this.#failed(due, error))
      .finally(() => {
        this.#taken.delete(revival_id)
        const rest = (this.#running.get(mission_id) ?? 1) - 1
        if (rest > 0) this.#running.set(mission_id, rest)
        else this.#running.delete(mission_id)
        this.look()
      })
  }

  async #attempt({ mission_id, agent_id, revival_id }: Due): Promise<void> {
    const ctx = this.#ctx
    const { revival } = seatOf(ctx.book.get(mission_id), agent_id)
    if (revival?.revival_id !== revival_id) return
    if (revival.substitute !== null) {
      const abort = AbortSignal.timeout(Math.max(1, epochOf(revival.deadline) - ctx.clock.now()))
      await substitute(ctx, mission_id, agent_id, revival.substitute, undefined, abort)
      return
    }
    await ctx.seatQueue.run(seatKey(mission_id, agent_id), async () => {
      const now = seatOf(ctx.book.get(mission_id), agent_id).revival
      if (now?.revival_id === revival_id) await reviveInQueue(ctx, mission_id, agent_id, null)
    })
  }

  async #failed({ mission_id, agent_id, revival_id }: Due, error: unknown): Promise<void> {
    const { code, message } = asLazarusError(error)
    this.#ctx.log.warn({ mission_id, agent_id, revival_id, code, message }, 'a revival failed')
    try {
      await this.#ctx.book.commit(mission_id, (now) => revivalFailed(now, agent_id, revival_id, moment(this.#ctx)))
    } catch (unrecorded) {
      // The ledger is closed, or full: the revival stays queued for the next start of the pit.
      this.#stopped = true
      this.#ctx.log.error({ err: unrecorded, mission_id, agent_id }, 'revivals stop until the pit starts again')
    }
  }

  #giveUp(now_ms: number): void {
    for (const state of this.#ctx.book.withRevivals()) {
      for (const { agent_id, revival } of waiting(state)) {
        if (now_ms < epochOf(revival!.deadline) || this.#taken.has(revival!.revival_id)) continue
        void this.#ctx.book.commit(state.mission_id, (now) => timeOutRevival(now, agent_id, now_ms)).catch(() => {})
      }
    }
  }

  /** Until the next backoff or deadline is over. */
  #sleep(now_ms: number): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    const waits = this.#ctx.book
      .withRevivals()
      .filter((state) => state.status === 'active')
      .flatMap((state) =>
        waiting(state).flatMap(({ revival }) => [waitsMs(revival!, now_ms), epochOf(revival!.deadline) - now_ms]),
      )
      .filter((ms) => ms > 0)
    if (waits.length === 0) return
    this.#timer = setTimeout(() => this.look(), Math.min(...waits, LONGEST_TIMER_MS)).unref()
  }
}

const dueOf = (state: MissionState, seat: SeatState): Due => ({
  mission_id: state.mission_id,
  agent_id: seat.agent_id,
  revival_id: seat.revival!.revival_id,
})
