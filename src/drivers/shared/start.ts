import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import type { PromiseName } from '../../contract/policy.ts'
import { judge } from '../../domain/isolation.ts'
import { LazarusError } from '../../kernel/errors.ts'
import { limitsOf } from '../../linux/cgroup.ts'
import { inheritable } from '../../linux/descriptors.ts'
import { type HullLayout, hullArgv, layHull, SYSTEM_PATH } from '../../linux/hull.ts'
import { parseMountinfo } from '../../linux/mountinfo.ts'
import { startTime, youngestDescendant } from '../../linux/process.ts'
import { exitOf } from '../../linux/run.ts'
import type { Sandbox, SandboxSpec } from '../../ports/cell-driver.ts'
import { Gate, type Report } from './gate.ts'
import { viewHost } from './host-view.ts'
import { layout } from './layout.ts'
import { type Measured, measure } from './measure.ts'
import { handleOf, hullDir, keyOf, type ProcessId, type SandboxRecord } from './records.ts'
import { packEnvironment, seatArgv, shimArgv } from './scripts.ts'
import { rlimitsFor, seccompFile, type Workshop } from './workshop.ts'

/** What an agentless seat runs: it stays open for exec. */
const STAY = ['sleep', 'infinity']

/** Steps in their order; each is announced to `faults`. */
export const SPAWN_STEPS = ['record', 'hull', 'start', 'measure', 'open'] as const
type Step = (typeof SPAWN_STEPS)[number]

/**
 * Starts a sandbox: the agent is held at the gate, already confined, until the pit has measured it. Throws after any
 * failed step; the caller takes back what the record names.
 */
export async function startSandbox(shop: Workshop, spec: SandboxSpec, abort: AbortSignal): Promise<Sandbox> {
  const step = (name: Step) => {
    abort.throwIfAborted()
    shop.deps.faults?.(name)
  }
  step('record')
  const hidden = [...spec.hidden_paths, spec.run_dir, shop.deps.root]
  const plan = layout(spec.policy, spec.mounts, viewHost(spec.policy, hidden, shop.files))
  let record = firstRecord(shop, spec)
  shop.records.write(record)
  step('hull')
  mkdirSync(hullDir(record), { recursive: true, mode: 0o700 })
  layHull({ ...plan, run_dir: hullDir(record) })
  step('start')
  const child = await startShim(shop, spec, plan, record)
  const gate = new Gate(child)
  try {
    record = { ...record, shim: identify(child.pid!) }
    shop.records.write(record)
    const report = await gate.settled(abort)
    const agent_pid = agentAtGate(spec, report)
    record = { ...record, hull: identify(report.hull_pid!), agent_pid }
    shop.records.write(record)
    step('measure')
    requireMounts(agent_pid, plan)
    requireDescriptors(agent_pid)
    const effective = judged(spec, measureAgent(spec, record))
    step('open')
    gate.open()
    return { handle: handleOf(record), effective }
  } catch (error) {
    gate.close()
    throw error
  }
}

function firstRecord(shop: Workshop, spec: SandboxSpec): SandboxRecord {
  const cgroup = shop.deps.cgroups?.make(keyOf(spec.name), spec.policy.limits) ?? null
  const { name, run_dir } = spec
  return { level: shop.inner.level, name, run_dir, cgroup, shim: null, hull: null, agent_pid: null }
}

function identify(pid: number): ProcessId {
  const start_time = startTime(pid)
  if (start_time === null)
    throw new LazarusError('spawn_failed', `Process ${pid} of the sandbox ended while it was being started.`)
  return { pid, start_time }
}

/** The shim leads a session of its own, so nothing that ends the pit or its terminal reaches it. */
async function startShim(
  shop: Workshop,
  spec: SandboxSpec,
  plan: HullLayout,
  record: SandboxRecord,
): Promise<ChildProcess> {
  const seat = seatArgv('gate', spec.cwd, Object.keys(spec.environment).length, spec.command ?? STAY)
  const hull = hullArgv(
    {
      ...plan,
      run_dir: hullDir(record),
      network: spec.policy.network === 'host' ? 'host' : 'own',
      rlimits: rlimitsFor(spec.policy.limits),
      command: shop.inner.argv(spec.policy, seat),
      environment: {},
    },
    3,
  )
  const { log_path, policy } = spec
  const exit_record = shop.records.exitPath(keyOf(spec.name))
  const [file, ...args] = shimArgv({ exit_record, log_path, log: policy.log, cgroup: record.cgroup }, hull)
  const filter = seccompFile(shop, policy)
  const log = await shop.pipes.take('none')
  const filterFd = filter === null ? null : openSync(filter, 'r')
  try {
    const child = spawn(file!, args, {
      cwd: hullDir(record),
      env: { PATH: SYSTEM_PATH, ...packEnvironment(spec.environment) },
      detached: true,
      stdio: ['ignore', log.write, log.write, 'pipe', filterFd ?? 'ignore', log.read],
    })
    child.unref()
    exitOf(child, file!).catch(() => {})
    if (child.pid === undefined) await exitOf(child, file!)
    return child
  } finally {
    for (const fd of [log.read, log.write, filterFd]) if (fd !== null) closeSync(fd)
  }
}

function agentAtGate(spec: SandboxSpec, report: Report): number {
  if (report.ready && report.hull_pid !== null) return youngestDescendant(report.hull_pid)
  throw new LazarusError(
    'spawn_failed',
    `The sandbox of ${spec.name.agent_id} could not be started: ${report.message || 'it ended without a word'}`,
    {
      remedy: 'lazarus doctor says what this host can do and how to mend it.',
      details: { log: spec.log_path },
    },
  )
}

/** mount(8) leaves entries out that it takes for mounted already: every mount of the plan must be seen from inside. */
function requireMounts(agent_pid: number, plan: HullLayout): void {
  const seen = new Map(
    parseMountinfo(readFileSync(`/proc/${agent_pid}/mountinfo`, 'utf8')).map((fact) => [fact.target, fact]),
  )
  for (const mount of plan.mounts) {
    const fact = seen.get(mount.target)
    const writable = mount.kind === 'bind' && mount.read_only && !fact?.flags.includes('ro')
    if (fact && !writable) continue
    throw new LazarusError(
      'spawn_failed',
      `The mount at ${mount.target} is ${fact ? 'writable' : 'missing'} in the started sandbox.`,
    )
  }
}

/** 3 and 4 are closed by the script at the gate; any other would be one that this process itself inherited. */
function requireDescriptors(agent_pid: number): void {
  const leaked = inheritable(agent_pid).filter((fd) => fd > 4)
  if (leaked.length === 0) return
  throw new LazarusError('spawn_failed', `The sandbox inherits the descriptors ${leaked.join(', ')} of the pit.`, {
    remedy: 'Start the pit without open descriptors beyond 0 to 2.',
  })
}

export function measureAgent(spec: SandboxSpec, record: SandboxRecord): Measured {
  return measure(record.agent_pid!, {
    limits: spec.policy.limits,
    // Asserted by bwrap, or written before the capabilities went: else the start fails.
    nested_user_namespaces: spec.policy.nested_user_namespaces,
    cgroup: record.cgroup === null ? null : limitsOf(record.cgroup),
  })
}

/** Fails closed, before the agent has run. */
export function judged(spec: SandboxSpec, measured: Measured): Sandbox['effective'] {
  const verdict = judge(spec.policy, measured)
  if (verdict.verdict === 'refused') throw unkept(verdict.refused)
  return { ...measured, degraded: verdict.verdict === 'degraded' ? [...verdict.degraded] : [] }
}

const unkept = (refused: readonly PromiseName[]): LazarusError =>
  new LazarusError('isolation_degraded', `This host cannot keep what the policy promises: ${refused.join(', ')}.`, {
    remedy: `Name them in "degradable" of the policy to go without, or mend the host as lazarus doctor says.`,
    details: { shortfalls: refused },
  })
