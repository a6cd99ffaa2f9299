import type { LimitName, Limits, NetworkMode, Policy, PolicyOverride, PromiseName } from '../contract/policy.ts'

const promiseOf = (name: LimitName): PromiseName => `limits.${name}`

/**
 * A limit that somebody asked for by name is kept or the spawn fails: only the level's own defaults may
 * degrade as the level's policy says, unless the asker names the degradation too.
 */
function tighten(
  policy: Policy,
  asked: Limits | null | undefined,
  degradable: readonly PromiseName[] | undefined,
): Policy {
  const names = Object.keys(asked ?? {}) as LimitName[]
  const strict = new Set(names.map(promiseOf))
  return {
    ...policy,
    limits: { ...policy.limits, ...asked },
    degradable: degradable ? [...degradable] : policy.degradable.filter((name) => !strict.has(name)),
  }
}

export function missionPolicy(level: Policy, hostLimits: Limits, override: PolicyOverride = {}): Policy {
  const policy = tighten(tighten(level, hostLimits, undefined), override.limits, override.degradable)
  return {
    ...policy,
    network: override.network ?? policy.network,
    image: override.image ?? policy.image,
    containerfile: override.containerfile ?? policy.containerfile,
  }
}

export function seatPolicy(
  policy: Policy,
  seat: { readonly network: NetworkMode | null; readonly limits: Limits | null },
): Policy {
  return { ...tighten(policy, seat.limits, undefined), network: seat.network ?? policy.network }
}
