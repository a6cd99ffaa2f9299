import { readFileSync } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { EffectiveIsolation } from '../../contract/policy.ts'
import { judge } from '../../domain/isolation.ts'
import { LazarusError } from '../../kernel/errors.ts'
import { parseMountinfo } from '../../linux/mountinfo.ts'
import { isAlive, processFact, sendSignal, startTime } from '../../linux/process.ts'
import type { SandboxSpec } from '../../ports/cell-driver.ts'
import { measure } from '../shared/measure.ts'
import { agentOf, commandLine } from './cell-processes.ts'
import { containerCgroup, enforcedLimits } from './cgroups.ts'
import { isLauncher } from './launch.ts'

/** A container that runs, as the host sees it. */
export interface Running {
  readonly id: string
  /** Host pid of its first process. */
  readonly pid: number
  readonly start_time: string
}

const GATE_TIMEOUT_MS = 60_000

/** Sources that are missing would be created by Podman; a policy that cannot be kept at all is refused before. */
export async function checkSpec(spec: SandboxSpec): Promise<void> {
  if (spec.policy.network === 'allowlist') {
    throw new LazarusError('isolation_unavailable', 'The network mode "allowlist" is not built yet.', {
      remedy: 'Choose the network mode none or host.',
    })
  }
  const sources = spec.mounts.flatMap((mount) => {
    if (mount.kind === 'bind') return [mount.source]
    return mount.kind === 'overlay' ? [mount.lower, mount.upper, mount.work] : []
  })
  for (const path of [...sources, dirname(spec.log_path), spec.run_dir]) {
    await lstat(path).catch((cause) => {
      throw new LazarusError('spawn_failed', `${path} is to be mounted into the cell, and is not there.`, { cause })
    })
  }
}

/**
 * Waits until the launcher has stopped itself before it becomes the agent, so that also an agent that ends at once is
 * measured. One that has passed the gate already (a repeated spawn) is as good. false when it ended before.
 */
export async function atGate(running: Running): Promise<boolean> {
  const deadline = performance.now() + GATE_TIMEOUT_MS
  while (isAlive(running.pid, running.start_time)) {
    const agent = agentOf(running.pid)
    if (agent !== null && waits(agent, running.pid)) return true
    if (performance.now() > deadline)
      throw new LazarusError('spawn_failed', 'The launcher of the cell did not answer within a minute.')
    await new Promise((go) => setTimeout(go, 1))
  }
  return false
}

/** Between fork and exec it still bears the command line of the init. */
function waits(agent: number, init: number): boolean {
  const line = commandLine(agent)
  if (line === '' || line === commandLine(init)) return false
  return !isLauncher(line) || processFact(agent)?.state === 'T'
}

/** Lets the agent go; harmless when it went before. */
export function openGate(agent: number): void {
  if (isLauncher(commandLine(agent))) sendSignal(agent, 'SIGCONT')
}

/** What the kernel says of the sandbox, judged by its policy; isolation_degraded when it is less than that allows. */
export function measureSandbox(running: Running, agent: number, spec: SandboxSpec): EffectiveIsolation {
  const measured = measure(agent, {
    limits: spec.policy.limits,
    // Refused by the seccomp profile; the probe tries it.
    nested_user_namespaces: spec.policy.seccomp === null,
    cgroup: enforcedLimits(containerCgroup(running.pid, running.id)),
  })
  checkMounts(agent, spec)
  const verdict = judge(spec.policy, measured)
  if (verdict.verdict === 'refused') {
    throw new LazarusError('isolation_degraded', `This host cannot keep at level 3: ${verdict.refused.join(', ')}`, {
      details: { refused: verdict.refused, effective: measured },
    })
  }
  return { ...measured, degraded: verdict.verdict === 'degraded' ? [...verdict.degraded] : [] }
}

/** What was asked of the API may have been dropped without a word: the mount table tells. */
function checkMounts(agent: number, spec: SandboxSpec): void {
  const facts = parseMountinfo(readFileSync(`/proc/${agent}/mountinfo`, 'utf8'))
  const at = (target: string) => facts.findLast((fact) => fact.target === target)
  const wrong = spec.mounts.filter((mount) => {
    const fact = at(mount.target)
    return (
      !fact ||
      (mount.kind === 'bind' && mount.read_only !== fact.flags.includes('ro')) ||
      (mount.kind !== 'bind' && !fact.type.includes(mount.kind === 'tmpfs' ? 'tmpfs' : 'overlay'))
    )
  })
  if (!at('/')?.flags.includes('ro'))
    throw new LazarusError('spawn_failed', 'Podman did not make the root of the container read-only.')
  if (wrong.length === 0) return
  throw new LazarusError(
    'spawn_failed',
    `Podman did not mount as asked: ${wrong.map((mount) => mount.target).join(', ')}`,
  )
}

/**
 * The container's first process, or null when it has ended. Podman's record may be older than the host: when nobody
 * told it of the end, the pid can be another's by now, so the process must have the container's mounts.
 */
export function runningOf(id: string, pid: number): Running | null {
  const start_time = pid > 0 ? startTime(pid) : null
  return start_time !== null && hasMountsOf(id, pid) ? { id, pid, start_time } : null
}

function hasMountsOf(id: string, pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, 'utf8').includes(id)
  } catch {
    return false
  }
}
