import { seatOf } from '../domain/mission.ts'
import { type Context, driverFor } from './context.ts'

/** Output of the agent as kept, and on request as it comes, until the agent ends or the reader leaves. */
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
  const watch = ctx.ledger.follow(
    { mission_id, after: ctx.ledger.head(), types: ['seat_exited', 'seat_withdrawn'] },
    ended.signal,
  )
  const running = seat.status === 'active' || seat.status === 'paused' || seat.status === 'spawning'
  const stop = () => ended.abort()
  abort.addEventListener('abort', stop, { once: true })
  if (running && options.follow) void endWith(watch, agent_id, stop)
  try {
    const source = { path: ctx.cells.logPath(mission_id, agent_id), format: log_format }
    yield* ctx.seatLogs.read(source, { ...options, follow: options.follow && running }, ended.signal)
  } finally {
    abort.removeEventListener('abort', stop)
    stop()
  }
}

async function endWith(
  events: AsyncIterable<{ agent_id: string | null }>,
  agent_id: string,
  stop: () => void,
): Promise<void> {
  for await (const event of events) if (event.agent_id === agent_id) break
  stop()
}
