import type { ForkRequest } from '../contract/fork.ts'
import type { SeatRequest, SpawnedSeat } from '../contract/seat.ts'
import { checkpointOf } from '../domain/checkpoints.ts'
import { seatOf } from '../domain/mission.ts'
import type { SeatState } from '../domain/seat.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { Context } from './context.ts'
import { openMissionLike } from './create-mission.ts'
import { destroyMission } from './end-mission.ts'
import { addSeat } from './spawn-seat.ts'

type Origin = NonNullable<SeatState['forked_from']>

export interface Fork {
  /** The mission that gets the seat: the checkpoint's own, or one of the same base. */
  readonly mission_id: string
  readonly request: Omit<ForkRequest, 'mission'>
  /** Of the seat that it replaces; 0 for a fork proper. */
  readonly generation: number
}

/** The verb: into the same mission, another one of the same base, or one that is opened for it. */
export async function forkCheckpoint(
  ctx: Context,
  from: Origin,
  { mission, ...request }: ForkRequest,
  by: string,
  abort: AbortSignal,
): Promise<SpawnedSeat> {
  if (typeof mission !== 'object') {
    return forkSeat(ctx, from, { mission_id: mission ?? from.mission_id, request, generation: 0 }, abort)
  }
  const source = ctx.book.get(from.mission_id)
  await ctx.checkpoints.verify(checkpointOf(source, from.agent_id, from.checkpoint_id), abort)
  const { mission_id } = await openMissionLike(ctx, source, mission.mission_name, by)
  try {
    return await forkSeat(ctx, from, { mission_id, request, generation: 0 }, abort)
  } catch (error) {
    await destroyMission(ctx, mission_id, true) // it was opened for this seat alone
    throw error
  }
}

/** A new seat whose layer begins as a checkpoint of another; what the request leaves out is as in that one. */
export async function forkSeat(ctx: Context, from: Origin, fork: Fork, abort: AbortSignal): Promise<SpawnedSeat> {
  const source = ctx.book.get(from.mission_id)
  const seat = seatOf(source, from.agent_id)
  await ctx.checkpoints.verify(checkpointOf(source, from.agent_id, from.checkpoint_id), abort)
  requireSameBase(ctx, from, fork.mission_id)
  const environment = seat.env_names.length > 0 ? await ctx.vault.get(from) : {}
  const request: SeatRequest = {
    ...(fork.request.command === undefined && commandsOf(seat)),
    ...(seat.network && { network: seat.network }),
    ...(seat.limits && { limits: seat.limits }),
    ...(seat.heartbeat_interval && { heartbeat_interval: seat.heartbeat_interval }),
    ...fork.request,
    role: fork.request.role ?? seat.role,
    env: { ...environment, ...fork.request.env },
  }
  return addSeat(ctx, fork.mission_id, request, abort, { forked_from: from, generation: fork.generation })
}

/** They belong together: a fork with a command of its own is not resumed with that of another. */
const commandsOf = ({ command, resume_command }: SeatState): Pick<SeatRequest, 'command' | 'resume_command'> => ({
  ...(command && { command: [...command] }),
  ...(resume_command && { resume_command: [...resume_command] }),
})

/** A layer means nothing over another base. */
function requireSameBase(ctx: Context, from: Origin, mission_id: string): void {
  const [a, b] = [ctx.book.get(from.mission_id), ctx.book.get(mission_id)]
  const isSame =
    a.base.commit === b.base.commit && a.base.repository_key === b.base.repository_key && a.workspace === b.workspace
  if (isSame) return
  throw new LazarusError(
    'conflict',
    `Mission ${mission_id} begins from another commit or repository than ${from.mission_id}: its seats cannot take over this checkpoint`,
    { remedy: 'Fork into the same mission, or let the fork open a mission of its own.' },
  )
}
