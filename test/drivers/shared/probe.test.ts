import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Check } from '../../../src/contract/host.ts'
import { bwrapInner } from '../../../src/drivers/bwrap/inner.ts'
import { HullDriver } from '../../../src/drivers/shared/hull-driver.ts'
import type { HullDriverDeps, Inner } from '../../../src/drivers/shared/workshop.ts'
import { userNamespaceChecks } from '../../../src/linux/user-namespaces.ts'
import { type HullHarness, never, openHarness } from './trial-seat.ts'

describe('probe of level_2 on a host that cannot', () => {
  let harness: HullHarness
  beforeAll(async () => {
    harness = await openHarness('level_2')
  })
  afterAll(() => harness[Symbol.asyncDispose]())
  const probe = (inner: Partial<Inner>, deps: Partial<HullDriverDeps> = {}) =>
    new HullDriver(
      { level: 'level_2', argv: bwrapInner, checks: async () => [], ...inner },
      { ...harness.deps, ...deps },
    ).probe(never)

  it('without the program names the package', async () => {
    const check: Check = {
      name: 'bubblewrap',
      ok: false,
      message: 'bwrap was not found',
      remedy: 'apt install bubblewrap',
      promise: null,
    }
    expect(await probe({ checks: async () => [check] })).toMatchObject({
      status: 'unavailable',
      reason: 'bwrap was not found',
      remedy: 'apt install bubblewrap',
      effective: null,
    })
  })

  it('with a step that fails tells what it said', async () => {
    const report = await probe({ argv: () => ['/bin/sh', '-c', 'echo no namespaces here >&3; exit 1'] })
    expect(report).toMatchObject({ status: 'unavailable', reason: expect.stringContaining('no namespaces here') })
  })

  it('with an inner step that confines nothing finds it out by measuring', async () => {
    const report = await probe({ argv: (_, command) => [...command] })
    expect(report.status).toBe('unavailable')
    expect(report.reason).toMatch(/no_new_privs.*capabilities.*seccomp/)
  })

  it('with a limit that is not delegated and may not degrade is unavailable', async () => {
    const policy = { ...harness.deps.policy, degradable: [] }
    const report = await probe({}, { policy, cgroups: null })
    expect(report).toMatchObject({ status: 'unavailable', reason: expect.stringContaining('limits.memory') })
  })
})

describe('switches of the kernel', () => {
  it('against user namespaces are named with their remedy', () => {
    const names = (values: Record<string, string>) =>
      userNamespaceChecks((file) => values[file] ?? null).map(({ name }) => name)
    expect(names({})).toEqual([])
    expect(names({ 'user/max_user_namespaces': '0' })).toEqual(['user.max_user_namespaces'])
    expect(names({ 'kernel/unprivileged_userns_clone': '0' })).toEqual(['kernel.unprivileged_userns_clone'])
    expect(names({ 'kernel/apparmor_restrict_unprivileged_userns': '1', 'user/max_user_namespaces': '9' })).toEqual([
      'kernel.apparmor_restrict_unprivileged_userns',
    ])
  })
})

it('the cgroup of a cell is that of one driver of one pit: each probes a cell of the same name', async () => {
  const names: string[] = []
  const make = (key: string): string => {
    names.push(key)
    throw new Error('seen')
  }
  for (const level of ['level_1', 'level_2', 'level_2'] as const) {
    await using harness = await openHarness(level)
    const driver = new HullDriver(
      { level, argv: bwrapInner, checks: async () => [] },
      { ...harness.deps, cgroups: { controllers: [], make } },
    )
    expect(await driver.probe(never)).toMatchObject({ status: 'unavailable' })
  }
  expect(new Set(names).size).toBe(3)
})
