import type { Mission } from '../contract/mission.ts'
import type { Seat } from '../contract/seat.ts'
import { declare } from './isolation.ts'
import type { MissionState } from './mission.ts'
import { seatPolicy } from './policy.ts'
import type { SeatState } from './seat.ts'

export const branchOf = (seat: Pick<SeatState, 'agent_id' | 'role'>): string | null =>
  seat.role === 'audit' ? null : `mission/${seat.agent_id}`

export function seatView(state: MissionState, seat: SeatState): Seat {
  return {
    mission_id: state.mission_id,
    agent_id: seat.agent_id,
    role: seat.role,
    status: seat.status,
    generation: seat.generation,
    command: seat.command === null ? null : [...seat.command],
    isolation: {
      level: state.isolation_level,
      declared: declare(seatPolicy(state.policy, seat)),
      effective: seat.effective,
    },
    branch: branchOf(seat),
    requested_at: seat.requested_at,
    spawned_at: seat.spawned_at,
    exit: seat.exit,
    resumed_from: seat.resumed_from,
    quarantine: seat.quarantine,
    collected: seat.collected,
    error: seat.error,
  }
}

export function missionView(state: MissionState): Mission {
  const seats = [...state.seats.values()]
  const count = (is: (seat: SeatState) => boolean) => seats.filter(is).length
  const isComing = ({ status, revival }: SeatState) => status === 'reviving' || revival !== null
  return {
    mission_id: state.mission_id,
    mission_name: state.mission_name,
    status: state.status,
    isolation_level: state.isolation_level,
    base: state.base,
    workspace: state.workspace,
    max_agents: state.max_agents,
    timeout: state.timeout,
    policies: state.policies,
    created_at: state.created_at,
    created_by: state.created_by,
    directory: state.directory,
    seats: seats.map((seat) => seatView(state, seat)),
    tasks: [],
    health: {
      seats: seats.length,
      active: count(({ status }) => status === 'active'),
      dead: count((seat) => seat.status === 'dead' && !isComing(seat)),
      reviving: count(isComing),
      quarantined: count(({ status }) => status === 'quarantined'),
      failed: count(({ status }) => status === 'failed'),
    },
    events: state.version,
  }
}
