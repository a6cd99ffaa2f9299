import type { Role } from '../contract/ids.ts'
import type { Access } from '../contract/route.ts'

export interface Caller {
  readonly kind: 'operator' | 'seat' | 'nobody'
  readonly mission_id?: string
  readonly agent_id?: string
  readonly role?: Role
}

export interface Target {
  readonly mission_id?: string | undefined
  readonly agent_id?: string | undefined
}

/** Whether a caller may use a route on a target. The operator may use all; a seat only what the table names for its role. */
export function mayCall(access: Access, caller: Caller, target: Target): boolean {
  if (access.public || caller.kind === 'operator') return true
  if (caller.kind !== 'seat' || caller.role === undefined) return false
  if (access.caller?.includes(caller.role)) return true
  if (access.own_agent) return access.own_agent.includes(caller.role) && target.agent_id === caller.agent_id
  if (target.mission_id === undefined || target.mission_id !== caller.mission_id) return false
  const roles = rolesFor(access, target.agent_id, caller.agent_id)
  return roles?.includes(caller.role) ?? false
}

function rolesFor(access: Access, target: string | undefined, own: string | undefined): readonly Role[] | undefined {
  if (target === undefined) return access.mission
  return target === own ? access.own_seat : access.other_seat
}
