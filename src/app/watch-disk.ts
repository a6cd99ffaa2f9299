import { decideEnd } from '../domain/decide-seat.ts'
import { type Account, type Look, nextLook, restMs } from '../domain/disk-accounting.ts'
import { type MissionState, seatOf } from '../domain/mission.ts'
import { seatPolicy } from '../domain/policy.ts'
import type { SeatState } from '../domain/seat.ts'
import { asLazarusError } from '../kernel/errors.ts'
import { type Context, driverFor, seatKey } from './context.ts'

const LOOK_EVERY_MS = 1000

interface Watched extends Account {
  readonly mission_id: string
  readonly agent_id: string
  readonly generation: number
}

/**
 * Ends seats whose layer and in-cell home together exceed `limits.disk`. The kernel offers an ordinary user no quota, so
 * this is accounting: noticed within seconds where a seat writes much, within minutes at most, and not prevented.
 */
export function watchDisk(ctx: Context): Disposable {
  const looks = new Map<string, Look>()
  const meter = new WriteMeter()
  let [busy, restsUntil] = [false, 0]
  const look = async () => {
    const written = meter.read(await ctx.workspace.freeBytes())
    const now = ctx.clock.monotonic()
    if (now < restsUntil) return
    const seats = ctx.book.all().flatMap((state) => watchedIn(state, looks))
    forget(looks, seats)
    const next = nextLook(seats, written, now)
    if (next === null) return
    const { bytes, entries } = await measure(ctx, next)
    const at = ctx.clock.monotonic()
    // `written` is from before: what was written meanwhile counts for the next look.
    looks.set(next.key, { bytes, written, at })
    restsUntil = at + restMs(entries)
  }
  const timer = setInterval(() => {
    if (busy) return
    busy = true
    void look()
      .catch((error) => ctx.log.warn({ message: asLazarusError(error).message }, 'the disk could not be looked at'))
      .finally(() => {
        busy = false
      })
  }, LOOK_EVERY_MS).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** What was written on the file system since the beginning, by its free bytes: what is freed is not taken off again. */
class WriteMeter {
  #free: number | null = null
  #written = 0

  read(free: number): number {
    this.#written += Math.max(0, (this.#free ?? free) - free)
    this.#free = free
    return this.#written
  }
}

function watchedIn(state: MissionState, looks: ReadonlyMap<string, Look>): Watched[] {
  if (state.status !== 'active') return []
  return [...state.seats.values()].flatMap((seat) => {
    const limit = limitOf(state, seat)
    if (limit === undefined || seat.status !== 'active') return []
    const { mission_id } = state
    const { agent_id, generation } = seat
    const key = `${seatKey(mission_id, agent_id)}/${generation}`
    return [{ key, mission_id, agent_id, generation, limit, look: looks.get(key) ?? null }]
  })
}

const limitOf = (state: MissionState, seat: SeatState): number | undefined => seatPolicy(state.policy, seat).limits.disk

function forget(looks: Map<string, Look>, seats: readonly Watched[]): void {
  const living = new Set(seats.map(({ key }) => key))
  for (const key of looks.keys()) if (!living.has(key)) looks.delete(key)
}

/** What cannot be measured counts as nothing, and is measured again. */
async function measure(ctx: Context, seat: Watched): Promise<{ bytes: number; entries: number }> {
  const { mission_id, agent_id, generation, limit } = seat
  try {
    const usage = await ctx.workspace.usage({ mission_id, agent_id })
    if (usage.bytes > limit) await end(ctx, seat, usage.bytes)
    return usage
  } catch (error) {
    const { code, message } = asLazarusError(error)
    ctx.log.warn({ mission_id, agent_id, generation, code, message }, 'the disk of a seat could not be measured')
    return { bytes: 0, entries: 0 }
  }
}

/** First the reason becomes durable, then the signal goes out; the exit that follows has the cause `limit`. */
async function end(ctx: Context, { mission_id, agent_id, generation, limit }: Watched, bytes: number): Promise<void> {
  await ctx.seatQueue.run(seatKey(mission_id, agent_id), async () => {
    const end = { cause: 'limit', why: `It holds ${bytes} bytes on disk; its limit is ${limit}` } as const
    const state = await ctx.book.commit(mission_id, (now) => decideEnd(now, agent_id, generation, end), 'begun')
    const seat = seatOf(state, agent_id)
    if (seat.generation !== generation || seat.end_decided === null || !seat.handle) return
    ctx.log.warn({ mission_id, agent_id, generation, bytes, limit }, 'a seat is over its disk limit and is ended')
    await driverFor(ctx, state.isolation_level).signal(seat.handle, 'SIGKILL')
  })
}
