import type { Application, Principal } from '../app/application.ts'
import type { SandboxName } from '../contract/ids.ts'
import type { Access } from '../contract/route.ts'
import { type Caller, mayCall, type Target } from '../domain/permissions.ts'
import { isLazarusError, LazarusError } from '../kernel/errors.ts'

/** Through which door a connection came: the door is the identity, but for TCP, where a token is. */
export type Door =
  | { readonly kind: 'operator' }
  | { readonly kind: 'seat'; readonly name: SandboxName }
  | { readonly kind: 'tcp' }

/** null: the caller showed nothing. Something shown that is not valid throws. */
export function identify(app: Application, door: Door, authorization: string | undefined): Principal | null {
  if (door.kind === 'operator') return { kind: 'operator', via: 'socket' }
  if (door.kind === 'seat') return seatPrincipal(app, door.name)
  if (authorization === undefined) return null
  const token = /^Bearer ([A-Za-z0-9._~+/=-]{1,512})$/i.exec(authorization)?.[1]
  const principal = token === undefined ? null : app.identify(token)
  if (principal === null) throw new LazarusError('unauthorized', 'The token is not valid, or no longer')
  return principal
}

/** A door outlives its generation for a moment; what comes through it then is from a dead one. */
function seatPrincipal(app: Application, name: SandboxName): Principal {
  const seat = seatOrNull(app, name)
  if (seat === null || seat.generation !== name.generation) {
    throw new LazarusError('unauthorized', `Generation ${name.generation} of seat ${name.agent_id} is over`, {
      remedy: 'This cell is no longer in use.',
    })
  }
  return { kind: 'seat', name, role: seat.role, via: 'socket' }
}

function seatOrNull(app: Application, name: SandboxName) {
  try {
    return app.readSeat(name.mission_id, name.agent_id)
  } catch (error) {
    if (isLazarusError(error) && error.status === 404) return null
    throw error
  }
}

/** Refuses before anything of the request is looked up, so that a refusal tells nothing about what exists. */
export function authorise(access: Access, principal: Principal | null, target: Target): void {
  if (mayCall(access, callerOf(principal), target)) return
  if (principal === null) throw new LazarusError('unauthorized', 'This route needs a token')
  const who = principal.kind === 'seat' ? `The ${principal.role} seat ${principal.name.agent_id}` : 'This caller'
  throw new LazarusError('forbidden', `${who} may not do this here`)
}

function callerOf(principal: Principal | null): Caller {
  if (principal === null) return { kind: 'nobody' }
  if (principal.kind === 'operator') return { kind: 'operator' }
  return {
    kind: 'seat',
    mission_id: principal.name.mission_id,
    agent_id: principal.name.agent_id,
    role: principal.role,
  }
}

/** Limits count per caller; one seat cannot use up the share of another. */
export function callerKey(principal: Principal | null): string {
  if (principal === null) return 'nobody'
  return principal.kind === 'operator' ? 'operator' : `${principal.name.mission_id}/${principal.name.agent_id}`
}
