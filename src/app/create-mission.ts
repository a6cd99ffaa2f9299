import type { Config } from '../contract/config.ts'
import type { DomainEvent } from '../contract/event.ts'
import type { CellPolicies, Mission, MissionRequest } from '../contract/mission.ts'
import { cellPolicies } from '../contract/mission.ts'
import type { MissionState } from '../domain/mission.ts'
import { missionPolicy } from '../domain/policy.ts'
import { missionView } from '../domain/views.ts'
import { LazarusError } from '../kernel/errors.ts'
import { type Context, driverFor } from './context.ts'
import { requireOutsideHomes } from './executors.ts'
import { requireLevel } from './host-report.ts'
import { requireNetwork } from './spawn-seat.ts'

/** Everything that can go wrong (the level, the policy, the repository) goes wrong before the mission exists. */
export async function createMission(
  ctx: Context,
  request: MissionRequest,
  created_by: string,
  abort: AbortSignal,
  mission_id: string = ctx.entropy.uuid(),
): Promise<Mission> {
  const level = request.isolation_level
  const levelPolicy = ctx.policies.get(level)
  if (!levelPolicy) throw new LazarusError('isolation_unavailable', `This pit has no policy for ${level}`)
  if (request.ref !== undefined && request.repo === undefined) {
    throw new LazarusError('invalid_request', `ref "${request.ref}" was given without a repo`, {
      remedy: 'Name the repo too, or leave ref out.',
    })
  }
  const policy = missionPolicy(levelPolicy, ctx.config.limits, request.policy)
  requireNetwork(policy.network)
  await requireOutsideHomes(ctx, policy)
  await requireLevel(ctx, level)
  await driverFor(ctx, level).images?.require(policy, abort)
  const { overlay } = await ctx.hostFacts()
  const resolved = await ctx.workspace.resolve(request.repo ?? null, request.ref ?? null, abort)
  const base = resolved.repo === null ? resolved : { ...resolved, repo: request.display ?? resolved.repo }
  abort.throwIfAborted()
  return open(ctx, mission_id, {
    mission_name: request.mission_name,
    isolation_level: level,
    base,
    workspace: overlay ? (request.workspace ?? 'overlay') : 'clone',
    max_agents: request.max_agents,
    timeout: request.timeout,
    policies: cellPolicies.parse({ ...configured(ctx.config), ...request.policies }),
    policy,
    created_by,
  })
}

/** A mission of the same commit, level and rules, under another name. */
export async function openMissionLike(
  ctx: Context,
  like: MissionState,
  mission_name: string,
  created_by: string,
): Promise<Mission> {
  const { isolation_level, base, workspace, max_agents, timeout, policies, policy } = like
  await requireLevel(ctx, isolation_level)
  const opening = { mission_name, isolation_level, base, workspace, max_agents, timeout, policies, policy, created_by }
  return open(ctx, ctx.entropy.uuid(), opening)
}

/** What the configuration says of every mission that does not say otherwise. */
function configured({ max_retries, auto_revive }: Config): Partial<CellPolicies> {
  return { max_retries, auto_revive: typeof auto_revive === 'string' ? auto_revive : auto_revive ? 'yes' : 'no' }
}

type Opening = Omit<(DomainEvent & { type: 'mission_created' })['data'], 'directory'>

async function open(ctx: Context, mission_id: string, opening: Opening): Promise<Mission> {
  const isNew = await ctx.cells.lay(mission_id)
  try {
    await ctx.workspace.openMission(mission_id, opening.base)
    const data = { ...opening, directory: ctx.cells.path(mission_id) }
    return missionView(await ctx.book.create(mission_id, { type: 'mission_created', agent_id: null, data }))
  } catch (error) {
    if (isNew && !ctx.book.has(mission_id)) await takeBack(ctx, mission_id, opening.base)
    throw error
  }
}

async function takeBack(ctx: Context, mission_id: string, base: Mission['base']): Promise<void> {
  await ctx.workspace.closeMission(mission_id, base, { repository: false })
  await ctx.cells.remove(mission_id)
}
