import { seatOf } from '../domain/mission.ts'
import type { SeatState } from '../domain/seat.ts'
import { type Context, driverFor } from './context.ts'

/** After one of these an agent may have come to its end for good. */
const ENDS = [
  'seat_exited',
  'spawn_failed',
  'seat_quarantined',
  'seat_released',
  'seat_replaced',
  'seat_withdrawn',
] as const

/** Output of the agent as kept, and on request as it comes, through revivals, until it ends or the reader leaves. */
export async function* readLogs(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  options: { readonly follow: boolean; readonly tail: number | null },
  abort: AbortSignal,
): AsyncIterable<Uint8Array> {
  const state = ctx.book.get(mission_id)
  const seat = seatOf(state, agent_id)
  const { log_format } = driverFor(ctx, state.isolation_level).capabilities
  const ended = new AbortController()
  const watch = ctx.ledger.follow({ mission_id, after: ctx.ledger.head(), types: ENDS }, ended.signal)
  const running = !isOver(seat)
  const stop = () => ended.abort()
  abort.addEventListener('abort', stop, { once: true })
  if (running && options.follow) void endWith(watch, () => isOver(seatOf(ctx.book.get(mission_id), agent_id)), stop)
  try {
    const source = { path: ctx.cells.logPath(mission_id, agent_id), format: log_format }
    yield* ctx.seatLogs.read(source, { ...options, follow: options.follow && running }, ended.signal)
  } finally {
    abort.removeEventListener('abort', stop)
    stop()
  }
}

/** Nothing runs, and nothing is about to. */
const isOver = ({ status, revival }: SeatState): boolean =>
  revival === null && !['requested', 'spawning', 'reviving', 'active', 'paused'].includes(status)

async function endWith(events: AsyncIterable<unknown>, over: () => boolean, stop: () => void): Promise<void> {
  for await (const _ of events) if (over()) break
  stop()
}
