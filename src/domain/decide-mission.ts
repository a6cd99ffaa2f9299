import type { DomainEvent } from '../contract/event.ts'
import type { DestroyReport, KeptCommits } from '../contract/mission.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { Decision, MissionState } from './mission.ts'
import type { SeatState } from './seat.ts'

const mission = <T extends DomainEvent & { agent_id: null }>(type: T['type'], data: T['data']): DomainEvent =>
  ({ type, agent_id: null, data }) as DomainEvent

export function refuse(state: MissionState, verb: string): never {
  throw new LazarusError('conflict', `Mission ${state.mission_id} is ${state.status}: it cannot ${verb}`)
}

export function pause(state: MissionState): Decision {
  if (state.status === 'paused') return []
  if (state.status !== 'active') refuse(state, 'pause')
  return [mission('mission_paused', {}), ...seatsThatAre(state, 'active', 'seat_paused')]
}

export function resume(state: MissionState): Decision {
  if (state.status === 'active') return []
  if (state.status !== 'paused') refuse(state, 'resume')
  return [mission('mission_resumed', {}), ...seatsThatAre(state, 'paused', 'seat_resumed')]
}

const seatsThatAre = (
  state: MissionState,
  status: SeatState['status'],
  type: 'seat_paused' | 'seat_resumed',
): DomainEvent[] =>
  [...state.seats.values()]
    .filter((seat) => seat.status === status)
    .map((seat) => ({ type, agent_id: seat.agent_id, data: {} }))

export function complete(state: MissionState): Decision {
  if (state.status === 'completed') return []
  if (state.status !== 'active' && state.status !== 'paused') refuse(state, 'complete')
  return [mission('mission_completed', {})]
}

export const fail = (state: MissionState, reason: string): Decision =>
  state.status === 'active' || state.status === 'paused' ? [mission('mission_failed', { reason })] : []

export function startArchive(state: MissionState): Decision {
  if (state.status === 'archived' || state.status === 'archiving') return []
  if (state.status !== 'completed' && state.status !== 'failed') {
    throw new LazarusError(
      'conflict',
      `Mission ${state.mission_id} is ${state.status}: only a completed or failed mission is archived`,
      {
        remedy: 'Complete it first: lazarus mission complete <mission>',
      },
    )
  }
  return [mission('archive_started', {})]
}

export const archived = (state: MissionState, record: string): Decision =>
  state.status === 'archiving' ? [mission('mission_archived', { record })] : []

export function startDestroy(state: MissionState, force: boolean, seal_id: string | null): Decision {
  if (state.status === 'destroying' || state.status === 'destroyed') return []
  return [mission('destroy_started', { force, seal_id })]
}

/** Recorded before the directory is removed, so that a destroy that is interrupted still knows where the commits went. */
export function commitsSaved(state: MissionState, collected: KeptCommits): Decision {
  if (state.status !== 'destroying' || state.kept_commits?.path === collected.path) return []
  return [mission('commits_saved', { collected })]
}

export function destroyed(
  state: MissionState,
  report: Pick<DestroyReport, 'final_checkpoints' | 'homes' | 'released'>,
): Decision {
  return state.status === 'destroying'
    ? [mission('mission_destroyed', { ...report, collected: state.kept_commits })]
    : []
}
