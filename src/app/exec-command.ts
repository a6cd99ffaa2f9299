import type { ExecRequest, ExecResult } from '../contract/seat.ts'
import { type MissionState, seatOf } from '../domain/mission.ts'
import type { SeatState } from '../domain/seat.ts'
import { timeLimit } from '../kernel/clock.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { OnOutput } from '../ports/cell-driver.ts'
import type { ExecEnd } from './application.ts'
import { type Context, driverFor } from './context.ts'
import { insideSpec } from './executors.ts'

/** Bytes of each stream that a whole answer keeps. */
const WHOLE_LIMIT = 1024 * 1024
const DEFAULT_TIMEOUT_S = 600

export async function execStream(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  request: ExecRequest,
  onOutput: OnOutput,
  abort: AbortSignal,
): Promise<ExecEnd> {
  const state = ctx.book.get(mission_id)
  const seat = runningSeat(state, agent_id)
  const spec = await insideSpec(ctx, state, seat)
  const timeout = timeLimit((request.timeout ?? DEFAULT_TIMEOUT_S) * 1000)
  const began = ctx.clock.monotonic()
  const { exit_code, signal } = await driverFor(ctx, state.isolation_level).exec(
    { handle: seat.handle!, spec },
    {
      command: request.command,
      environment: { ...spec.environment, ...request.env },
      cwd: request.cwd ?? spec.cwd,
      stdin: request.stdin === undefined ? null : new TextEncoder().encode(request.stdin),
    },
    onOutput,
    AbortSignal.any([abort, timeout]),
  )
  return { exit_code, signal, timed_out: timeout.aborted && !abort.aborted, duration_ms: ctx.clock.monotonic() - began }
}

export async function execWhole(
  ctx: Context,
  mission_id: string,
  agent_id: string,
  request: ExecRequest,
  abort: AbortSignal,
): Promise<ExecResult> {
  const kept = { stdout: new Kept(), stderr: new Kept() }
  const end = await execStream(ctx, mission_id, agent_id, request, (stream, data) => kept[stream].take(data), abort)
  return {
    ...end,
    stdout: kept.stdout.text(),
    stderr: kept.stderr.text(),
    truncated: kept.stdout.cut || kept.stderr.cut,
  }
}

class Kept {
  cut = false
  readonly #parts: Uint8Array[] = []
  #bytes = 0

  take(data: Uint8Array): void {
    const room = WHOLE_LIMIT - this.#bytes
    if (data.length > room) this.cut = true
    if (room <= 0) return
    this.#parts.push(data.subarray(0, room))
    this.#bytes += Math.min(room, data.length)
  }

  text(): string {
    return Buffer.concat(this.#parts).toString('utf8')
  }
}

export function runningSeat(state: MissionState, agent_id: string): SeatState {
  const seat = seatOf(state, agent_id)
  if (seat.status === 'active' && seat.handle) return seat
  if (seat.status === 'quarantined') {
    throw new LazarusError(
      'agent_quarantined',
      `Agent "${agent_id}" of mission ${state.mission_id} is quarantined: ${seat.quarantine}`,
      { remedy: 'Look at its output (lazarus logs), then revive it: lazarus revive <mission> <agent>' },
    )
  }
  const why = seat.exit ? ` (${seat.exit.cause}, code ${seat.exit.code ?? '-'}, signal ${seat.exit.signal ?? '-'})` : ''
  throw new LazarusError(
    'conflict',
    `Seat "${agent_id}" of mission ${state.mission_id} is ${seat.status}${why}: nothing runs there`,
    {
      remedy: 'Seat the agent again after withdrawing it, or read its output with: lazarus logs',
    },
  )
}
