import type {
  DeclaredIsolation,
  EffectiveIsolation,
  LimitFact,
  LimitName,
  NamespaceKind,
  Policy,
  PromiseName,
} from '../contract/policy.ts'

/** What a policy promises, flat. The network namespace goes with the network mode. */
export function declare(policy: Policy): DeclaredIsolation {
  const namespaces: NamespaceKind[] = policy.namespaces.filter((kind) => kind !== 'network')
  if (policy.network !== 'host') namespaces.push('network')
  return {
    namespaces,
    no_new_privs: policy.no_new_privs,
    capabilities_dropped: policy.drop_capabilities,
    seccomp: policy.seccomp !== null,
    nested_user_namespaces: policy.nested_user_namespaces,
    distinct_host_uid: policy.distinct_host_uid,
    network: policy.network,
    limits: policy.limits,
  }
}

/**
 * Who can keep a limit of a whole seat. An rlimit bounds one process, so it keeps neither memory nor cpu; the process
 * limit counts the user namespace of the seat, so it does keep pids. The sum of what a seat holds on disk is kept by the
 * pit's accounting alone.
 */
const KEEPERS: Readonly<Record<LimitName, readonly LimitFact['enforced_by'][]>> = {
  cpu: ['cgroup'],
  memory: ['cgroup'],
  pids: ['cgroup', 'rlimit'],
  disk: ['accounting'],
  tmp: ['tmpfs', 'cgroup'],
  nofile: ['rlimit'],
}

const limitKept = (name: LimitName, declared: number, fact: LimitFact | undefined): boolean =>
  fact !== undefined && KEEPERS[name].includes(fact.enforced_by) && fact.value !== null && fact.value <= declared

/** The promises that a started sandbox does not keep. A sandbox that is tighter than declared keeps them. */
export function shortfalls(
  declared: DeclaredIsolation,
  effective: Omit<EffectiveIsolation, 'degraded'>,
): PromiseName[] {
  const missing: PromiseName[] = declared.namespaces
    .filter((kind) => !effective.namespaces.includes(kind))
    .map((kind): PromiseName => `namespaces.${kind}`)
  const open = declared.network !== 'host' && effective.network !== 'none'
  if (open && !missing.includes('namespaces.network')) missing.push('namespaces.network')
  if (declared.no_new_privs && !effective.no_new_privs) missing.push('no_new_privs')
  if (declared.capabilities_dropped && effective.capabilities.length > 0) missing.push('capabilities')
  if (declared.seccomp && !effective.seccomp) missing.push('seccomp')
  if (!declared.nested_user_namespaces && effective.nested_user_namespaces) missing.push('nested_user_namespaces')
  if (declared.distinct_host_uid && !effective.distinct_host_uid) missing.push('distinct_host_uid')
  for (const [name, value] of Object.entries(declared.limits) as [LimitName, number | undefined][]) {
    if (value !== undefined && !limitKept(name, value, effective.limits[name])) missing.push(`limits.${name}`)
  }
  return missing
}

export type Verdict =
  | { readonly verdict: 'ok' }
  | { readonly verdict: 'degraded'; readonly degraded: readonly PromiseName[] }
  | { readonly verdict: 'refused'; readonly refused: readonly PromiseName[]; readonly degraded: readonly PromiseName[] }

/** Fail closed: a promise that is not kept and that the policy does not name as degradable refuses the sandbox. */
export function judge(policy: Policy, effective: Omit<EffectiveIsolation, 'degraded'>): Verdict {
  const missing = shortfalls(declare(policy), effective)
  const refused = missing.filter((name) => !policy.degradable.includes(name))
  const degraded = missing.filter((name) => policy.degradable.includes(name))
  if (refused.length > 0) return { verdict: 'refused', refused, degraded }
  return degraded.length > 0 ? { verdict: 'degraded', degraded } : { verdict: 'ok' }
}
