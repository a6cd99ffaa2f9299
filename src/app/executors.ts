import { dirname } from 'node:path'
import type { Checkpoint } from '../contract/checkpoint.ts'
import type { Released } from '../contract/mission.ts'
import type { Policy } from '../contract/policy.ts'
import { checkpointOf } from '../domain/checkpoints.ts'
import { layerSaved } from '../domain/decide-seat.ts'
import { cellEnvironment } from '../domain/environment.ts'
import type { MissionState } from '../domain/mission.ts'
import type { SeatStep, StepName } from '../domain/plan.ts'
import { seatPolicy } from '../domain/policy.ts'
import type { SeatState } from '../domain/seat.ts'
import type { Sandbox, SandboxMount, SandboxSpec } from '../ports/cell-driver.ts'
import type { SeatLayer } from '../ports/workspace.ts'
import { type Context, driverFor, sandboxName } from './context.ts'

/** What the steps of one plan hand to each other and to the verb that runs them. */
export interface Work {
  readonly state: MissionState
  readonly seat: SeatState
  readonly abort: AbortSignal
  /** The agent is let go only after it. */
  readonly hold: Promise<unknown> | null
  sandbox: Sandbox | null
  /** Mounts of the layer and the directory of the door, once they are open. */
  layer: readonly SandboxMount[]
  door: string | null
  released: Released
}

const NOTHING: Released = { processes: 0, containers: 0, mounts: 0 }

export const workOn = (
  state: MissionState,
  seat: SeatState,
  abort: AbortSignal,
  hold: Promise<unknown> | null = null,
): Work => ({
  state,
  seat,
  abort,
  hold,
  sandbox: null,
  layer: [],
  door: null,
  released: NOTHING,
})

export const addReleased = (a: Released, b: Released): Released => ({
  processes: a.processes + b.processes,
  containers: a.containers + b.containers,
  mounts: a.mounts + b.mounts,
})

export const layerOf = (state: MissionState, seat: SeatState): SeatLayer => ({
  seat: { mission_id: state.mission_id, agent_id: seat.agent_id },
  role: seat.role,
  base: state.base,
  mode: state.workspace,
})

type Executor = (ctx: Context, work: Work) => Promise<void>

const EXECUTORS: Record<StepName, Executor> = {
  open_layer: async (ctx, work) => {
    work.layer = await ctx.workspace.openSeat(layerOf(work.state, work.seat))
  },
  open_door: async (ctx, work) => {
    work.door = await ctx.door.open(sandboxName(work.state.mission_id, work.seat))
  },
  start_sandbox: async (ctx, work) => {
    await requireOutsideHomes(ctx, work.state.policy)
    const spec = await sandboxSpec(ctx, work)
    work.sandbox = await driverFor(ctx, work.state.isolation_level).spawn(spec, work.abort)
  },
  stage_layer: async (ctx, work) => {
    if (await isLaidOut(ctx, work)) return
    await ctx.checkpoints.stage(layerOf(work.state, work.seat), originOf(ctx, work.state, work.seat), work.abort)
  },
  swap_layer: async (ctx, { state, seat }) => {
    await ctx.checkpoints.swap(layerOf(state, seat), originOf(ctx, state, seat))
  },
  end_sandbox: endSandbox,
  close_door: async (ctx, { state, seat }) => {
    await ctx.door.close(sandboxName(state.mission_id, seat))
  },
  save_layer: async (ctx, { state, seat, abort }) => {
    const snapshot = await ctx.workspace.discardToTrash(layerOf(state, seat), abort)
    if (snapshot) await ctx.book.commit(state.mission_id, (now) => layerSaved(now, seat.agent_id, snapshot))
  },
  remove_layer: async (ctx, { state, seat }) => {
    await ctx.workspace.removeSeat({ mission_id: state.mission_id, agent_id: seat.agent_id })
  },
  forget_secrets: async (ctx, { state, seat }) => {
    await ctx.vault.remove({ mission_id: state.mission_id, agent_id: seat.agent_id })
  },
}

/** The layer of a fork is there: its agent may have worked in it since the pit that laid it out died. */
const isLaidOut = async (ctx: Context, { state, seat }: Work): Promise<boolean> =>
  !seat.restoring && (await ctx.workspace.isIntact(layerOf(state, seat)))

/** The checkpoint that a layer is laid out of: one that is restored, or one that the seat begins from. */
function originOf(ctx: Context, state: MissionState, seat: SeatState): Checkpoint {
  if (seat.restoring) return checkpointOf(state, seat.agent_id, seat.restoring.checkpoint_id)
  const { mission_id, agent_id, checkpoint_id } = seat.forked_from!
  return checkpointOf(ctx.book.get(mission_id), agent_id, checkpoint_id)
}

/** Runs the steps in order; a step that fails stops the plan, which may be run again from its start. */
export async function runPlan(ctx: Context, plan: readonly SeatStep[], work: Work): Promise<void> {
  for (const { step } of plan) {
    ctx.faults?.(step)
    await EXECUTORS[step](ctx, work)
  }
}

async function endSandbox(ctx: Context, work: Work): Promise<void> {
  const { state, seat } = work
  const driver = driverFor(ctx, state.isolation_level)
  const handles = seat.handle
    ? [seat.handle]
    : (await driver.list()).filter((h) => h.mission_id === state.mission_id && h.agent_id === seat.agent_id)
  for (const handle of handles) work.released = addReleased(work.released, await driver.destroy(handle))
  await ctx.runDirs.remove(sandboxName(state.mission_id, seat))
}

/** The directory of a Containerfile becomes part of an image: what is in a home must not come into a cell that way. */
export async function requireOutsideHomes(ctx: Context, { containerfile }: Policy): Promise<void> {
  if (containerfile !== null) await ctx.homes.refuseHome(dirname(containerfile))
}

/** The same data for the first start and after a restart of the pit: every part is found again. */
async function sandboxSpec(ctx: Context, work: Work): Promise<SandboxSpec> {
  const { state, seat, layer, door } = work
  const name = sandboxName(state.mission_id, seat)
  const [inside, run_dir, homes] = await Promise.all([
    insideSpec(ctx, state, seat),
    ctx.runDirs.make(name),
    ctx.homes.registered(),
  ])
  const own: SandboxMount[] = [
    { kind: 'bind', target: '/run/lazarus', source: door!, read_only: true },
    { kind: 'tmpfs', target: '/tmp', bytes: inside.policy.limits.tmp ?? 1024 ** 3 },
  ]
  return {
    ...inside,
    ...(work.hold && { hold: work.hold }),
    name,
    command: commandOf(seat),
    mounts: [...layer, ...own],
    log_path: ctx.cells.logPath(state.mission_id, seat.agent_id),
    run_dir,
    hidden_paths: [...homes, ...ctx.ownPaths],
  }
}

/** The original prompt is never replayed: who was there before resumes, where it said how. */
const commandOf = ({ resumed_from, command, resume_command }: SeatState): readonly string[] | null =>
  resumed_from !== null && resume_command !== null ? resume_command : command

/** What an exec shares with the agent. The files are those of the running sandbox, so none is looked at. */
export async function insideSpec(
  ctx: Context,
  state: MissionState,
  seat: SeatState,
): Promise<Pick<SandboxSpec, 'policy' | 'environment' | 'cwd'>> {
  const name = sandboxName(state.mission_id, seat)
  const policy = seatPolicy(state.policy, seat)
  const secrets = seat.env_names.length > 0 ? await ctx.vault.get(name) : {}
  return {
    policy,
    environment: cellEnvironment(name, seat.role, state.isolation_level, policy, secrets, seat.resumed_from),
    cwd: seat.role === 'audit' ? '/home/agent' : '/workspace',
  }
}
