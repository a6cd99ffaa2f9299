import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { LazarusError } from '../../kernel/errors.ts'
import { type HullLayout, layoutError, tableFor } from '../../linux/hull.ts'
import { startTime, youngestDescendant } from '../../linux/process.ts'
import { sharedSkeleton } from '../../linux/skeleton.ts'
import type { Sandbox, SandboxSpec } from '../../ports/cell-driver.ts'
import { Gate, type Report } from './gate.ts'
import { untilReleased } from './hold.ts'
import { viewHost } from './host-view.ts'
import { inspect } from './inspect.ts'
import type { Launched, LaunchRequest } from './launcher.ts'
import { layout } from './layout.ts'
import { handleOf, keyOf, type ProcessId, type SandboxRecord } from './records.ts'
import { packEnvironment, seatArgv } from './scripts.ts'
import { cgroupName, rlimitsFor, seccompFile, type Workshop } from './workshop.ts'

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
  learn({ cgroup: shop.deps.cgroups?.make(cgroupName(shop, spec.name), spec.policy.limits) ?? null })
  step('start')
  const { gate, shim_pid, hull_pid } = await launchAtGate(shop, request(shop, spec, plan, attempt.record))
  try {
    learn({ shim: identify(shim_pid) })
    const report = await gate.settled(abort)
    const agent_pid = agentAtGate(spec, hull_pid, report)
    learn({ agent_pid, hull: identify(hull_pid) })
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

function request(shop: Workshop, spec: SandboxSpec, plan: Plan, record: SandboxRecord): Omit<LaunchRequest, Ports> {
  const { policy, log_path } = spec
  const seat = seatArgv('gate', spec.cwd, Object.keys(spec.environment).length, spec.command ?? STAY)
  return {
    skeleton: join(plan.skeleton, 'root'),
    table: plan.table,
    network: policy.network === 'host' ? 'host' : 'own',
    rlimits: rlimitsFor(policy.limits),
    cgroup: record.cgroup,
    exit_record: shop.records.exitPath(record),
    log_path,
    log: policy.log,
    seccomp: seccompFile(shop, policy),
    environment: packEnvironment(spec.environment),
    command: shop.inner.argv(policy, seat),
  }
}

type Ports = 'report_fd' | 'word_fd'

/** The ends that stay here close with the pit: then the agent at the gate ends. */
async function launchAtGate(shop: Workshop, request: Omit<LaunchRequest, Ports>): Promise<Launched & { gate: Gate }> {
  const [report, word] = [await shop.pipes.take('read'), await shop.pipes.take('write')]
  const gate = new Gate(
    new Socket({ fd: report.read, readable: true, writable: false }),
    new Socket({ fd: word.write, readable: false, writable: true }),
  )
  try {
    const launched = await shop.launcher.launch({ ...request, report_fd: report.write, word_fd: word.read })
    return { ...launched, gate }
  } catch (error) {
    gate.close()
    throw error
  } finally {
    for (const fd of [report.write, word.read]) closeSync(fd)
  }
}

function agentAtGate(spec: SandboxSpec, hull_pid: number, report: Report): number {
  if (report.ready) return youngestDescendant(hull_pid)
  const why = report.message || 'it ended without a word'
  throw new LazarusError('spawn_failed', `The sandbox of ${spec.name.agent_id} could not be started: ${why}`, {
    remedy: 'lazarus doctor says what this host can do and how to mend it.',
    details: { log: spec.log_path },
  })
}
