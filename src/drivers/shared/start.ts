import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LazarusError } from '../../kernel/errors.ts'
import { type HullLayout, hullArgv, layoutError, SYSTEM_PATH, tableFor } from '../../linux/hull.ts'
import { startTime, youngestDescendant } from '../../linux/process.ts'
import { exitOf, launch } from '../../linux/run.ts'
import { sharedSkeleton } from '../../linux/skeleton.ts'
import type { Sandbox, SandboxSpec } from '../../ports/cell-driver.ts'
import { Gate, type Report } from './gate.ts'
import { untilReleased } from './hold.ts'
import { viewHost } from './host-view.ts'
import { inspect } from './inspect.ts'
import { layout } from './layout.ts'
import { handleOf, keyOf, type ProcessId, type SandboxRecord } from './records.ts'
import { packEnvironment, seatArgv, shimArgv } from './scripts.ts'
import { rlimitsFor, seccompFile, type Workshop } from './workshop.ts'

/** What an agentless seat runs: it stays open for exec. */
const STAY = ['sleep', 'infinity']

/** Steps in their order; each is announced to `faults`. */
export const SPAWN_STEPS = ['hull', 'start', 'record', 'measure', 'open'] as const
type Step = (typeof SPAWN_STEPS)[number]

/** What there is to take back when a start fails; grows with each step. */
export interface Attempt {
  record: SandboxRecord
}

let attempts = 0

export function newAttempt(shop: Workshop, { name, run_dir }: SandboxSpec): Attempt {
  attempts += 1
  const exit_name = `${keyOf(name)}.${process.pid}-${attempts}`
  const unknown = { cgroup: null, shim: null, hull: null, agent_pid: null }
  return { record: { level: shop.inner.level, name, run_dir, exit_name, ...unknown } }
}

/**
 * Starts a sandbox: the agent is held at the gate, already confined, until the pit has measured it. A pit that dies
 * meanwhile closes the gate, and the sandbox ends; only what is recorded outlives it. Throws after any failed step;
 * the caller takes back what the attempt names.
 */
export async function startSandbox(
  shop: Workshop,
  spec: SandboxSpec,
  attempt: Attempt,
  abort: AbortSignal,
): Promise<Sandbox> {
  const step = (name: Step) => {
    abort.throwIfAborted()
    shop.deps.faults?.(name)
  }
  const learn = (facts: Partial<SandboxRecord>) => {
    attempt.record = { ...attempt.record, ...facts }
  }
  step('hull')
  const plan = planHull(shop, spec)
  learn({ cgroup: shop.deps.cgroups?.make(keyOf(spec.name), spec.policy.limits) ?? null })
  step('start')
  const child = await startShim(shop, spec, plan, attempt.record)
  const gate = new Gate(child)
  try {
    learn({ shim: identify(child.pid!) })
    const report = await gate.settled(abort)
    const agent_pid = agentAtGate(spec, report)
    learn({ agent_pid, hull: identify(report.hull_pid!) })
    step('record')
    shop.records.write(attempt.record)
    step('measure')
    const effective = inspect(spec, attempt.record, plan)
    await untilReleased(spec.hold, abort)
    step('open')
    gate.open()
    return { handle: handleOf(attempt.record), effective }
  } catch (error) {
    gate.close()
    throw error
  }
}

interface Plan extends HullLayout {
  /** Shared by all sandboxes of this shape. */
  readonly skeleton: string
  readonly table: string
}

function planHull(shop: Workshop, spec: SandboxSpec): Plan {
  const hidden = [...spec.hidden_paths, spec.run_dir, shop.deps.root]
  const inside = layout(spec.policy, spec.mounts, viewHost(spec.policy, hidden, shop.files))
  try {
    const skeleton = sharedSkeleton(shop.deps.root, inside)
    return { ...inside, skeleton, table: tableFor(skeleton, inside.mounts) }
  } catch (cause) {
    throw layoutError(cause)
  }
}

function identify(pid: number): ProcessId {
  const start_time = startTime(pid)
  if (start_time === null)
    throw new LazarusError('spawn_failed', `Process ${pid} of the sandbox ended while it was being started.`)
  return { pid, start_time }
}

/** Where the shim finds what. 0 to 2 are those of the agent; the rest is closed before it starts. */
const FD = { report: 3, log: 5, table: 6 } as const

function shimCommand(shop: Workshop, spec: SandboxSpec, plan: Plan, record: SandboxRecord): string[] {
  const { policy, log_path } = spec
  const seat = seatArgv('gate', spec.cwd, Object.keys(spec.environment).length, spec.command ?? STAY)
  const hull = {
    ...plan,
    run_dir: plan.skeleton,
    network: policy.network === 'host' ? ('host' as const) : ('own' as const),
    rlimits: rlimitsFor(policy.limits),
    command: shop.inner.argv(policy, seat),
    environment: {},
  }
  const exit_record = shop.records.exitPath(record)
  return shimArgv(
    { exit_record, log_path, log: policy.log, cgroup: record.cgroup },
    hullArgv(hull, { table: `/dev/fd/${FD.table}`, report_fd: FD.report, tell_end: true }),
  )
}

/** The shim leads a session of its own, so nothing that ends the pit or its terminal reaches it. */
async function startShim(shop: Workshop, spec: SandboxSpec, plan: Plan, record: SandboxRecord): Promise<ChildProcess> {
  const [file, ...args] = shimCommand(shop, spec, plan, record)
  const filter = seccompFile(shop, spec.policy)
  const log = await shop.pipes.take('none')
  const table = openTable(shop, record, plan.table)
  const filterFd = filter === null ? null : openSync(filter, 'r')
  try {
    const child = launch(file!, args, {
      cwd: plan.skeleton,
      env: { PATH: SYSTEM_PATH, ...packEnvironment(spec.environment) },
      detached: true,
      stdio: ['ignore', log.write, log.write, 'pipe', filterFd ?? 'ignore', log.read, table],
    })
    child.unref()
    const exit = exitOf(child, file!)
    exit.catch(() => {})
    if (child.pid === undefined) await exit
    return child
  } finally {
    for (const fd of [log.read, log.write, table, filterFd]) if (fd !== null) closeSync(fd)
  }
}

/** mount(8) reads its table from regular files alone; this one has no name any more. */
function openTable(shop: Workshop, record: SandboxRecord, text: string): number {
  const path = join(shop.deps.root, `${record.exit_name}.table`)
  writeFileSync(path, text, { mode: 0o600 })
  const fd = openSync(path, 'r')
  unlinkSync(path)
  return fd
}

function agentAtGate(spec: SandboxSpec, report: Report): number {
  if (report.ready && report.hull_pid !== null) return youngestDescendant(report.hull_pid)
  const why = report.message || 'it ended without a word'
  throw new LazarusError('spawn_failed', `The sandbox of ${spec.name.agent_id} could not be started: ${why}`, {
    remedy: 'lazarus doctor says what this host can do and how to mend it.',
    details: { log: spec.log_path },
  })
}
