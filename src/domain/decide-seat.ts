import type { DomainEvent } from '../contract/event.ts'
import type { FinalSnapshot, Released } from '../contract/mission.ts'
import type { EffectiveIsolation } from '../contract/policy.ts'
import type { ExitFact, SandboxHandle, SeatRequest, WorkOutcome } from '../contract/seat.ts'
import { LazarusError } from '../kernel/errors.ts'
import { refuse } from './decide-mission.ts'
import { type Decision, type MissionState, seatOf } from './mission.ts'
import { afterExit, afterFailedRevival, type Moment } from './revival.ts'
import { isTaken, type SeatState } from './seat.ts'

/** What a seat begins with that begins from another's checkpoint. */
export interface Origin {
  readonly forked_from: NonNullable<SeatState['forked_from']>
  /** Generations go on rising when a substitute takes over. */
  readonly generation: number
}

export function requestSeat(
  state: MissionState,
  request: SeatRequest,
  token_hash: string,
  origin: Origin | null = null,
): Decision {
  if (state.status !== 'active') refuse(state, 'take a new seat')
  const before = state.seats.get(request.agent_id)
  if (before && isTaken(before)) {
    throw new LazarusError(
      'conflict',
      `Agent "${request.agent_id}" already has a seat in mission ${state.mission_id} (${before.status})`,
      {
        remedy: 'Choose another agent_id, or withdraw the seat first.',
      },
    )
  }
  const taken = [...state.seats.values()].filter((seat) => takesPlace(seat, origin)).length
  if (taken >= state.max_agents) {
    throw new LazarusError(
      'conflict',
      `Mission ${state.mission_id} is full: ${taken} of ${state.max_agents} seats are taken`,
      {
        remedy: 'Withdraw a seat, or open a mission with a larger max_agents.',
      },
    )
  }
  return [
    {
      type: 'seat_requested',
      agent_id: request.agent_id,
      data: {
        role: request.role,
        command: request.command ?? null,
        resume_command: request.resume_command ?? null,
        env_names: Object.keys(request.env ?? {}),
        network: request.network ?? null,
        limits: request.limits ?? null,
        heartbeat_interval: request.heartbeat_interval ?? null,
        token_hash,
        forked_from: origin?.forked_from ?? null,
      },
    },
    {
      type: 'spawn_started',
      agent_id: request.agent_id,
      data: {
        generation: Math.max(before?.generation ?? 0, origin?.generation ?? 0) + 1,
        resumed_from: origin?.forked_from.checkpoint_id ?? null,
        token_hash: null,
      },
    },
  ]
}

/** Whose place went to another, or goes to the one that is seated now, takes none. */
function takesPlace(seat: SeatState, origin: Origin | null): boolean {
  const isReplaced = origin !== null && origin.generation > 0 && origin.forked_from.agent_id === seat.agent_id
  return isTaken(seat) && seat.status !== 'released' && !isReplaced
}

export function seatSpawned(
  state: MissionState,
  handle: SandboxHandle,
  effective: EffectiveIsolation,
  spawn_ms: number,
): Decision {
  const seat = seatOf(state, handle.agent_id)
  if (!isStarting(seat) || seat.restoring || seat.generation !== handle.generation) return []
  const { agent_id, generation } = handle
  const spawned: DomainEvent = { type: 'seat_spawned', agent_id, data: { generation, handle, effective, spawn_ms } }
  return state.status === 'paused' ? [spawned, { type: 'seat_paused', agent_id, data: {} }] : [spawned]
}

/** A revival that fails is tried again as the policy says; a first start is not. */
export function spawnFailed(
  state: MissionState,
  agent_id: string,
  error: { code: string; message: string },
  moment: Moment,
): Decision {
  const seat = seatOf(state, agent_id)
  if (!isStarting(seat)) return []
  return [
    { type: 'spawn_failed', agent_id, data: { generation: seat.generation, error } },
    ...afterFailedRevival(state, seat, moment),
  ]
}

export const isStarting = ({ status }: SeatState): boolean => status === 'spawning' || status === 'reviving'

/**
 * A death of the present generation is a fact, and what the policy makes of it goes with it; of an older one it is
 * refused, and the refusal recorded.
 */
export function seatExited(
  state: MissionState,
  agent_id: string,
  generation: number,
  exit: ExitFact,
  moment: Moment,
): Decision {
  const seat = state.seats.get(agent_id)
  if (!seat) return []
  if (seat.generation !== generation)
    return [{ type: 'refused', agent_id, data: { what: 'exit of an older generation', generation } }]
  if (seat.status !== 'active' && seat.status !== 'paused') return []
  // The pit itself ended it: the signal is only how.
  const told = seat.end_decided && exit.cause === 'signal' ? { ...exit, cause: seat.end_decided.cause } : exit
  return [{ type: 'seat_exited', agent_id, data: { generation, exit: told } }, ...afterExit(state, seat, told, moment)]
}

/** A sandbox of a seat ran in a generation that is over, and was ended. */
export const orphanReaped = (state: MissionState, agent_id: string, generation: number): Decision =>
  state.seats.has(agent_id) ? [{ type: 'orphan_reaped', agent_id, data: { generation } }] : []

/** The pit is about to kill the agent, and says why first. */
export function decideEnd(
  state: MissionState,
  agent_id: string,
  generation: number,
  end: NonNullable<SeatState['end_decided']>,
): Decision {
  const seat = seatOf(state, agent_id)
  if (seat.status !== 'active' || seat.generation !== generation || seat.end_decided) return []
  return [{ type: 'end_decided', agent_id, data: { generation, ...end } }]
}

export function collected(
  state: MissionState,
  agent_id: string,
  head: string,
  outcome: WorkOutcome,
  commits: number,
): Decision {
  const seat = seatOf(state, agent_id)
  if (seat.collected?.head === head && seat.collected.outcome === outcome) return []
  return [{ type: 'collected', agent_id, data: { head, outcome, commits } }]
}

export function startWithdraw(state: MissionState, agent_id: string, force: boolean): Decision {
  const seat = seatOf(state, agent_id)
  if (seat.status === 'withdrawing' || seat.status === 'withdrawn') return []
  return [{ type: 'withdraw_started', agent_id, data: { force } }]
}

/** Recorded before the layer is removed, so that a removal that is interrupted still knows where the work went. */
export function layerSaved(state: MissionState, agent_id: string, final_checkpoint: FinalSnapshot): Decision {
  const seat = seatOf(state, agent_id)
  if (seat.status !== 'withdrawing' || seat.final_checkpoint?.path === final_checkpoint.path) return []
  return [{ type: 'layer_saved', agent_id, data: { final_checkpoint } }]
}

export function seatWithdrawn(state: MissionState, agent_id: string, released: Released): Decision {
  const { status, final_checkpoint } = seatOf(state, agent_id)
  return status === 'withdrawing' ? [{ type: 'seat_withdrawn', agent_id, data: { final_checkpoint, released } }] : []
}
