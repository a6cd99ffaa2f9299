import { readFileSync } from 'node:fs'
import type { EffectiveIsolation, LimitFact, LimitName, Limits, NamespaceKind } from '../../contract/policy.ts'
import { capabilityNames } from '../../linux/capabilities.ts'
import { type MountFact, parseMountinfo } from '../../linux/mountinfo.ts'
import { namespaceOf } from '../../linux/process.ts'

/** What the driver knows and the host cannot read from /proc. */
export interface MeasureContext {
  /** Limits of the policy: only these are reported. */
  readonly limits: Limits
  /** Whether the agent may make user namespaces: tried inside, or asserted by the program that confined it. */
  readonly nested_user_namespaces: boolean
  /** Limits read back from the cgroup of the sandbox; null where there is none. */
  readonly cgroup: Limits | null
}

export type Measured = Omit<EffectiveIsolation, 'degraded'>

const KINDS: Readonly<Record<NamespaceKind, string>> = {
  user: 'user',
  mount: 'mnt',
  pid: 'pid',
  ipc: 'ipc',
  uts: 'uts',
  network: 'net',
  cgroup: 'cgroup',
}

/** Reads from /proc what the kernel says of the agent `pid`. Throws when the process is gone. */
export function measure(pid: number, context: MeasureContext): Measured {
  const proc = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'utf8')
  const status = parseStatus(proc('status'))
  const mounts = parseMountinfo(proc('mountinfo'))
  const namespaces = ownNamespaces(pid)
  return {
    namespaces,
    no_new_privs: status.get('NoNewPrivs') === '1',
    capabilities: capabilitiesOf(status),
    seccomp: status.get('Seccomp') === '2',
    nested_user_namespaces: context.nested_user_namespaces,
    distinct_host_uid: status.get('Uid')?.split('\t')[0] !== String(process.getuid?.()),
    network: namespaces.includes('network') ? 'none' : 'host',
    workspace: workspaceOf(mounts),
    limits: limitFacts(context, parseLimits(proc('limits')), mounts),
  }
}

const parseStatus = (text: string): Map<string, string> =>
  new Map(text.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]))

function ownNamespaces(pid: number): NamespaceKind[] {
  return (Object.keys(KINDS) as NamespaceKind[]).filter((kind) => {
    const theirs = namespaceOf(pid, KINDS[kind])
    if (theirs === null) throw new Error(`the namespaces of process ${pid} cannot be read`)
    return theirs !== namespaceOf('self', KINDS[kind])
  })
}

function capabilitiesOf(status: Map<string, string>): string[] {
  const sets = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']
  return capabilityNames(sets.reduce((all, name) => all | BigInt(`0x${status.get(name) ?? '0'}`), 0n))
}

function workspaceOf(mounts: readonly MountFact[]): EffectiveIsolation['workspace'] {
  const mount = mounts.findLast((fact) => fact.target === '/workspace')
  if (!mount) return 'none'
  if (mount.flags.includes('ro')) return 'read_only'
  return mount.type === 'overlay' || mount.type === 'fuse.fuse-overlayfs' ? 'overlay' : 'clone'
}

/** Hard limits by the kernel's title; null is unlimited. The soft ones bind nobody: the agent may raise them. */
function parseLimits(text: string): Map<string, number | null> {
  const facts = new Map<string, number | null>()
  for (const line of text.split('\n').slice(1)) {
    const match = /^(.+?)\s{2,}(\S+)\s+(\S+)/.exec(line)
    if (match) facts.set(match[1]!, match[3] === 'unlimited' ? null : Number(match[3]))
  }
  return facts
}

const RLIMITS: Readonly<Partial<Record<LimitName, string>>> = {
  pids: 'Max processes',
  disk: 'Max file size',
  nofile: 'Max open files',
}

function limitFacts(
  context: MeasureContext,
  rlimits: ReadonlyMap<string, number | null>,
  mounts: readonly MountFact[],
): Measured['limits'] {
  const facts: Partial<Record<LimitName, LimitFact>> = {}
  for (const name of Object.keys(context.limits) as LimitName[]) {
    if (context.limits[name] === undefined) continue
    facts[name] = limitFact(name, context, rlimits, mounts)
  }
  return facts
}

/** For `disk` both must hold: the rlimit, read here, bounds each file; the pit accounts for the sum of a seat that has it. */
function limitFact(
  name: LimitName,
  context: MeasureContext,
  rlimits: ReadonlyMap<string, number | null>,
  mounts: readonly MountFact[],
): LimitFact {
  const byCgroup = context.cgroup?.[name]
  if (byCgroup !== undefined) return { value: byCgroup, enforced_by: 'cgroup' }
  const tmp = name === 'tmp' ? tmpfsBytes(mounts) : null
  if (tmp !== null) return { value: tmp, enforced_by: 'tmpfs' }
  const title = RLIMITS[name]
  const value = title === undefined ? null : (rlimits.get(title) ?? null)
  if (value === null) return { value: null, enforced_by: 'none' }
  return { value, enforced_by: name === 'disk' ? 'accounting' : 'rlimit' }
}

const UNITS: Readonly<Record<string, number>> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

function tmpfsBytes(mounts: readonly MountFact[]): number | null {
  const mount = mounts.findLast((fact) => fact.target === '/tmp')
  const size = mount?.type === 'tmpfs' && mount.super_options.find((option) => option.startsWith('size='))
  const match = size ? /^size=(\d+)([kmg]?)$/.exec(size) : null
  return match ? Number(match[1]) * (UNITS[match[2]!] ?? 1) : null
}
