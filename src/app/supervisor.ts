import { type MissionState, type SeatState, seatOf } from '../domain/mission.ts'
import { patience, revivalFailed, timeOutRevival, waiting } from '../domain/revival.ts'
import { LONGEST_TIMER_MS, timeLimit } from '../kernel/clock.ts'
import { asLazarusError } from '../kernel/errors.ts'
import { type Context, moment, seatKey } from './context.ts'
import { reviveInQueue, substituteOnce } from './revive-seat.ts'
import { unheldToken } from './spawn-seat.ts'

/** A revival of the queue, with its times on the monotonic clock: setting the wall clock brings nobody back early or late. */
interface Waiting {
  readonly mission_id: string
  readonly agent_id: string
  readonly revival_id: string
  readonly approved: boolean
  readonly due_at: number
  readonly give_up_at: number
}

/**
 * Brings the dead back: takes what is due from the queue that the ledger holds. A few at a time, so that a mass death
 * becomes no stampede, and the mission that has the fewest at work goes first, so that a large one starves no other.
 */
export class Supervisor implements Disposable {
  readonly #ctx: Context
  /** In order of arrival, by revival. */
  readonly #waiting = new Map<string, Waiting>()
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

  /** To be called whenever a mission changed. */
  follow(before: MissionState | null, after: MissionState): void {
    const known = before ? waiting(before) : []
    const now = after.status === 'active' ? waiting(after) : []
    if (known.length === 0 && now.length === 0) return
    const stay = new Set(now.map(({ revival }) => revival!.revival_id))
    for (const { revival } of known) if (!stay.has(revival!.revival_id)) this.#waiting.delete(revival!.revival_id)
    for (const seat of now) this.#remember(after.mission_id, seat)
    this.#look()
  }

  [Symbol.dispose](): void {
    this.#open = false
    if (this.#timer) clearTimeout(this.#timer)
  }

  #remember(mission_id: string, { agent_id, revival }: SeatState): void {
    const { revival_id, approval } = revival!
    const known = this.#waiting.get(revival_id)
    const approved = approval !== 'needed'
    if (known?.approved === approved) return
    const { backoff_ms, give_up_ms } = patience(revival!)
    const now = this.#ctx.clock.monotonic()
    this.#waiting.set(revival_id, {
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
    const idle = [...this.#waiting.values()].filter(({ revival_id }) => !this.#atWork.has(revival_id))
    for (const late of idle.filter(({ give_up_at }) => give_up_at <= now)) void this.#giveUp(late)
    const due = idle.filter(({ approved, due_at, give_up_at }) => approved && due_at <= now && now < give_up_at)
    for (let next = this.#fairest(due); next; next = this.#fairest(due)) void this.#revive(next)
    this.#sleepUntil(
      idle.flatMap(({ due_at, give_up_at }) => [due_at, give_up_at]).filter((at) => at > now),
      now,
    )
  }

  /** Takes the first of the mission with the fewest revivals at work. */
  #fairest(due: Waiting[]): Waiting | null {
    if (this.#atWork.size >= this.#ctx.config.revivals_at_once || due.length === 0) return null
    const load = ({ mission_id }: Waiting) => this.#load.get(mission_id) ?? 0
    const best = due.reduce((best, candidate, index) => (load(candidate) < load(due[best]!) ? index : best), 0)
    return due.splice(best, 1)[0]!
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

  #sleepUntil(moments: readonly number[], now: number): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    if (moments.length === 0) return
    const ms = Math.min(moments.reduce((a, b) => Math.min(a, b)) - now, LONGEST_TIMER_MS)
    this.#timer = setTimeout(() => this.#look(), Math.ceil(ms)).unref()
  }
}
