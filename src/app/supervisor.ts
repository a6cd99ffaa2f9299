import { type MissionState, seatOf } from '../domain/mission.ts'
import { patience, revivalFailed, timeOutRevival } from '../domain/revival.ts'
import type { QueuedRevival, SeatState } from '../domain/seat.ts'
import { LONGEST_TIMER_MS, timeLimit } from '../kernel/clock.ts'
import { asLazarusError } from '../kernel/errors.ts'
import { type Context, moment, seatKey } from './context.ts'
import { RevivalQueue, type Waiting } from './revival-queue.ts'
import { reviveInQueue, substituteOnce } from './revive-seat.ts'
import { unheldToken } from './spawn-seat.ts'

/**
 * Brings the dead back: takes what is due from the queue that the ledger holds. A few at a time, so that a mass death
 * becomes no stampede, and the mission that has the fewest at work goes first, so that a large one starves no other.
 */
export class Supervisor implements Disposable {
  readonly #ctx: Context
  readonly #queue = new RevivalQueue()
  readonly #atWork = new Set<string>()
  readonly #load = new Map<string, number>()
  #timer: NodeJS.Timeout | null = null
  #open = false

  constructor(ctx: Context) {
    this.#ctx = ctx
  }

  /** After recovery: until then the queue only grows. */
  start(): void {
    this.#open = true
    this.#look()
  }

  /** To be called whenever a mission changed, with the seats that are not as before. */
  follow(before: MissionState | null, after: MissionState, changed: readonly SeatState[]): void {
    const seats = before?.status === after.status ? changed : [...after.seats.values()]
    let isOther = false
    for (const seat of seats) {
      const old = before?.seats.get(seat.agent_id)?.revival ?? null
      const revival = after.status === 'active' ? seat.revival : null
      if (old === null && revival === null) continue
      if (old !== null && old.revival_id !== revival?.revival_id) this.#queue.remove(old.revival_id)
      if (revival !== null) this.#remember(after.mission_id, seat.agent_id, revival)
      isOther = true
    }
    if (isOther) this.#look()
  }

  [Symbol.dispose](): void {
    this.#open = false
    if (this.#timer) clearTimeout(this.#timer)
  }

  #remember(mission_id: string, agent_id: string, revival: QueuedRevival): void {
    const { revival_id, approval } = revival
    const known = this.#queue.get(revival_id)
    const approved = approval !== 'needed'
    if (known?.approved === approved) return
    const { backoff_ms, give_up_ms } = patience(revival)
    const now = this.#ctx.clock.monotonic()
    this.#queue.put({
      mission_id,
      agent_id,
      revival_id,
      approved,
      due_at: known?.due_at ?? now + backoff_ms,
      give_up_at: known?.give_up_at ?? now + give_up_ms,
    })
  }

  #look(): void {
    if (!this.#open) return
    const now = this.#ctx.clock.monotonic()
    for (const late of this.#queue.advance(now)) if (!this.#atWork.has(late.revival_id)) void this.#giveUp(late)
    while (this.#atWork.size < this.#ctx.config.revivals_at_once) {
      const next = this.#queue.take((mission_id) => this.#load.get(mission_id) ?? 0)
      if (next === null) break
      void this.#revive(next)
    }
    this.#sleepUntil(this.#queue.next(), now)
  }

  async #revive(next: Waiting): Promise<void> {
    const { mission_id, revival_id } = next
    this.#atWork.add(revival_id)
    this.#load.set(mission_id, (this.#load.get(mission_id) ?? 0) + 1)
    try {
      await this.#attempt(next)
    } catch (error) {
      await this.#failed(next, error)
    } finally {
      this.#atWork.delete(revival_id)
      const rest = (this.#load.get(mission_id) ?? 1) - 1
      if (rest > 0) this.#load.set(mission_id, rest)
      else this.#load.delete(mission_id)
      this.#look()
    }
  }

  async #attempt({ mission_id, agent_id, revival_id, give_up_at }: Waiting): Promise<void> {
    const ctx = this.#ctx
    const { revival } = seatOf(ctx.book.get(mission_id), agent_id)
    if (revival?.revival_id !== revival_id) return
    if (revival.substitute !== null) {
      const abort = timeLimit(give_up_at - ctx.clock.monotonic())
      await substituteOnce(ctx, mission_id, agent_id, revival.substitute, abort)
      return
    }
    await ctx.seatQueue.run(seatKey(mission_id, agent_id), async () => {
      const now = seatOf(ctx.book.get(mission_id), agent_id).revival
      if (now?.revival_id === revival_id) await reviveInQueue(ctx, mission_id, agent_id, unheldToken(ctx))
    })
  }

  async #failed({ mission_id, agent_id, revival_id }: Waiting, error: unknown): Promise<void> {
    const { code, message } = asLazarusError(error)
    this.#ctx.log.warn({ mission_id, agent_id, revival_id, code, message }, 'a revival failed')
    await this.#record(mission_id, () =>
      this.#ctx.book.commit(mission_id, (now) => revivalFailed(now, agent_id, revival_id, moment(this.#ctx))),
    )
  }

  async #giveUp({ mission_id, agent_id, revival_id }: Waiting): Promise<void> {
    await this.#record(mission_id, () =>
      this.#ctx.book.commit(mission_id, (now) => timeOutRevival(now, agent_id, revival_id)),
    )
  }

  /** When the ledger is closed, or full, the queue stays as it is for the next start of the pit. */
  async #record(mission_id: string, append: () => Promise<unknown>): Promise<void> {
    try {
      await append()
    } catch (error) {
      this.#open = false
      this.#ctx.log.error({ err: error, mission_id }, 'revivals stop until the pit starts again')
    }
  }

  #sleepUntil(at: number | null, now: number): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    if (at === null) return
    this.#timer = setTimeout(() => this.#look(), Math.min(Math.ceil(at - now), LONGEST_TIMER_MS)).unref()
  }
}
