import { describe, expect, it } from 'vitest'
import type { EffectiveIsolation, Policy } from '../../src/contract/policy.ts'
import { declare, judge, shortfalls } from '../../src/domain/isolation.ts'
import { policyOf } from '../support/policies.ts'

const POLICY = policyOf('level_2', {
  limits: { cpu: 1, memory: 2 ** 30, pids: 64, disk: 2 ** 20, tmp: 2 ** 20, nofile: 64 },
  degradable: [],
})

const KEPT: EffectiveIsolation = {
  namespaces: ['user', 'mount', 'pid', 'ipc', 'uts', 'network', 'cgroup'],
  no_new_privs: true,
  capabilities: [],
  seccomp: true,
  nested_user_namespaces: false,
  distinct_host_uid: false,
  network: 'none',
  workspace: 'overlay',
  limits: {
    cpu: { value: 1, enforced_by: 'cgroup' },
    memory: { value: 2 ** 30, enforced_by: 'cgroup' },
    pids: { value: 64, enforced_by: 'rlimit' },
    disk: { value: 2 ** 20, enforced_by: 'accounting' },
    tmp: { value: 2 ** 20, enforced_by: 'tmpfs' },
    nofile: { value: 64, enforced_by: 'rlimit' },
  },
  degraded: [],
}

const missing = (change: Partial<EffectiveIsolation>, policy: Partial<Policy> = {}) =>
  shortfalls(declare({ ...POLICY, ...policy }), { ...KEPT, ...change })

describe('isolation', () => {
  it('finds nothing missing where every promise is kept, or more than it', () => {
    expect(missing({})).toEqual([])
    expect(missing({}, { seccomp: null, namespaces: [], network: 'host', nested_user_namespaces: true })).toEqual([])
    expect(missing({ limits: { ...KEPT.limits, pids: { value: 10, enforced_by: 'cgroup' } } })).toEqual([])
  })

  it.each([
    [{ no_new_privs: false }, 'no_new_privs'],
    [{ capabilities: ['cap_net_raw'] }, 'capabilities'],
    [{ seccomp: false }, 'seccomp'],
    [{ nested_user_namespaces: true }, 'nested_user_namespaces'],
    [{ network: 'host' as const }, 'namespaces.network'],
    [{ namespaces: KEPT.namespaces.filter((kind) => kind !== 'pid') }, 'namespaces.pid'],
    [{ namespaces: KEPT.namespaces.filter((kind) => kind !== 'network') }, 'namespaces.network'],
  ])('names %j as %s', (change, promise) => {
    expect(missing(change)).toEqual([promise])
  })

  it('names a distinct uid only where it was promised', () => {
    expect(missing({}, { distinct_host_uid: true })).toEqual(['distinct_host_uid'])
  })

  it('does not take an rlimit for a limit of the whole seat, nor a looser one, nor none', () => {
    const limits = (name: string, value: number | null, enforced_by: string) =>
      ({ ...KEPT.limits, [name]: { value, enforced_by } }) as never
    expect(missing({ limits: limits('memory', 1, 'rlimit') })).toEqual(['limits.memory'])
    expect(missing({ limits: limits('cpu', null, 'none') })).toEqual(['limits.cpu'])
    expect(missing({ limits: limits('pids', 65, 'rlimit') })).toEqual(['limits.pids'])
    expect(missing({ limits: {} })).toEqual([
      'limits.cpu',
      'limits.memory',
      'limits.pids',
      'limits.disk',
      'limits.tmp',
      'limits.nofile',
    ])
  })

  it('refuses what the policy does not name, and tells what it gives up', () => {
    const open = { ...KEPT, seccomp: false, no_new_privs: false }
    expect(judge(POLICY, KEPT)).toEqual({ verdict: 'ok' })
    expect(judge({ ...POLICY, degradable: ['seccomp', 'no_new_privs'] }, open)).toEqual({
      verdict: 'degraded',
      degraded: ['no_new_privs', 'seccomp'],
    })
    expect(judge({ ...POLICY, degradable: ['seccomp'] }, open)).toEqual({
      verdict: 'refused',
      refused: ['no_new_privs'],
      degraded: ['seccomp'],
    })
  })

  it('declares the network namespace by the network mode', () => {
    expect(declare({ ...POLICY, network: 'host' }).namespaces).not.toContain('network')
    expect(declare({ ...POLICY, namespaces: [] }).namespaces).toEqual(['network'])
  })
})
