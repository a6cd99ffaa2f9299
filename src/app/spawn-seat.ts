import { hash } from 'node:crypto'
import type { NetworkMode } from '../contract/policy.ts'
import type { SeatRequest, SpawnedSeat } from '../contract/seat.ts'
import { type Origin, requestSeat, seatSpawned, spawnFailed } from '../domain/decide-seat.ts'
import { type MissionState, seatOf } from '../domain/mission.ts'
import { spawnPlan, undoSpawnPlan } from '../domain/plan.ts'
import type { SeatState } from '../domain/seat.ts'
import { seatView } from '../domain/views.ts'
import { asLazarusError, LazarusError } from '../kernel/errors.ts'
import { type Context, driverFor, moment, seatKey } from './context.ts'
import { runPlan, workOn } from './executors.ts'
import { requireLevel } from './host-report.ts'

export const hashToken = (token: string): string => hash('sha256', token)

/** The hash of a token that nobody holds: for a generation that the pit itself begins, so that the old one ends. */
export const unheldToken = ({ entropy }: Pick<Context, 'entropy'>): string => hashToken(entropy.token(32))

export function requireNetwork(network: NetworkMode): void {
  if (network !== 'allowlist') return
  throw new LazarusError('isolation_unavailable', 'network "allowlist" is not available in this version', {
    remedy: 'Use "none", or "host" when the agent may reach everything.',
  })
}

export async function addSeat(
  ctx: Context,
  mission_id: string,
  request: SeatRequest,
  abort: AbortSignal,
  origin: Origin | null = null,
): Promise<SpawnedSeat> {
  const began = ctx.clock.monotonic()
  const { isolation_level } = ctx.book.get(mission_id)
  if (request.network) requireNetwork(request.network)
  await requireLevel(ctx, isolation_level)
  const token = ctx.entropy.token(32)
  return ctx.seatQueue.run(
    seatKey(mission_id, request.agent_id),
    async () => {
      // The present state is asked first: the environment of a seat that is taken must not be overwritten.
      requestSeat(ctx.book.get(mission_id), request, hashToken(token), origin)
      await keepEnvironment(ctx, mission_id, request)
      const intended = await ctx.book.commit(
        mission_id,
        (state) => requestSeat(state, request, hashToken(token), origin),
        'begun',
      )
      const state = await spawn(ctx, intended, seatOf(intended, request.agent_id), began, abort)
      const seat = seatOf(state, request.agent_id)
      return { ...seatView(state, seat), token, spawn_ms: seat.spawn_ms ?? 0 }
    },
    abort,
  )
}

/** Most seats have none: nothing is written for them, and nothing of an earlier seat of that name is left. */
async function keepEnvironment(ctx: Context, mission_id: string, { agent_id, env = {} }: SeatRequest): Promise<void> {
  if (Object.keys(env).length > 0) await ctx.vault.put({ mission_id, agent_id }, env)
  else await ctx.vault.remove({ mission_id, agent_id })
}

/**
 * Brings a seat whose `spawn_started` is durable to a running sandbox; also called by recovery, where it finds
 * what the first attempt left. A failure is undone whole before it is recorded.
 */
export async function spawn(
  ctx: Context,
  state: MissionState,
  seat: SeatState,
  began: number,
  abort: AbortSignal,
  hold: Promise<unknown> | null = null,
): Promise<MissionState> {
  const work = workOn(state, seat, abort, hold)
  try {
    await runPlan(ctx, spawnPlan(seat), work)
    ctx.faults?.('record_spawn')
  } catch (error) {
    throw await undoSpawn(ctx, state, seat, error)
  }
  const { handle, effective } = work.sandbox!
  const spawn_ms = ctx.clock.monotonic() - began
  const after = await ctx.book.commit(state.mission_id, (now) => seatSpawned(now, handle, effective, spawn_ms))
  const driver = driverFor(ctx, state.isolation_level)
  const isPaused = seatOf(after, seat.agent_id).status === 'paused'
  if (isPaused && driver.capabilities.freeze) await driver.signal(handle, 'freeze')
  return after
}

async function undoSpawn(ctx: Context, state: MissionState, seat: SeatState, error: unknown): Promise<LazarusError> {
  const failure = asLazarusError(error)
  try {
    await runPlan(ctx, undoSpawnPlan(seat), workOn(state, seat, AbortSignal.timeout(60_000)))
  } catch (undoError) {
    // The seat stays `spawning`: the next start of the pit takes back what is left.
    ctx.log.error(
      { err: undoError, mission_id: state.mission_id, agent_id: seat.agent_id },
      'a failed spawn could not be taken back',
    )
    return failure
  }
  await ctx.book.commit(state.mission_id, (now) =>
    spawnFailed(now, seat.agent_id, { code: failure.code, message: failure.message }, moment(ctx)),
  )
  return failure
}
