import { readFileSync } from 'node:fs'
import type { PromiseName } from '../../contract/policy.ts'
import { judge } from '../../domain/isolation.ts'
import { LazarusError } from '../../kernel/errors.ts'
import { limitsOf } from '../../linux/cgroup.ts'
import { inherited } from '../../linux/descriptors.ts'
import type { HullLayout } from '../../linux/hull.ts'
import { parseMountinfo } from '../../linux/mountinfo.ts'
import type { Sandbox, SandboxSpec } from '../../ports/cell-driver.ts'
import { type Measured, measure } from './measure.ts'
import type { SandboxRecord } from './records.ts'

/** The highest descriptor that the scripts hold open at the gate. */
const LAST_FD = 6

/** Looks at the agent that waits at the gate, from the host. Fails closed, before the agent has run. */
export function inspect(spec: SandboxSpec, record: SandboxRecord, plan: HullLayout): Sandbox['effective'] {
  requireMounts(record.agent_pid!, plan)
  requireDescriptors(record.agent_pid!)
  return judged(spec, measureAgent(spec, record))
}

/** mount(8) leaves entries out that it takes for mounted already: every mount of the plan must be seen from inside. */
function requireMounts(agent_pid: number, plan: HullLayout): void {
  const facts = parseMountinfo(readFileSync(`/proc/${agent_pid}/mountinfo`, 'utf8'))
  const seen = new Map(facts.map((fact) => [fact.target, fact]))
  for (const mount of plan.mounts) {
    const fact = seen.get(mount.target)
    const writable = mount.kind === 'bind' && mount.read_only && !fact?.flags.includes('ro')
    if (fact && !writable) continue
    const what = fact ? 'writable' : 'missing'
    throw new LazarusError('spawn_failed', `The mount at ${mount.target} is ${what} in the started sandbox.`)
  }
}

/** The script at the gate closes what it knows of; any other would be one that this process itself inherited. */
function requireDescriptors(agent_pid: number): void {
  const leaked = inherited(agent_pid, LAST_FD)
  if (leaked.length === 0) return
  throw new LazarusError('spawn_failed', `The sandbox inherits descriptors of the pit: ${leaked.join(', ')}.`, {
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

/** What the sandbox keeps, or isolation_degraded when that is less than the policy lets go. */
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
