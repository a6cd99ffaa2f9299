import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ExitNotice } from '../../../src/ports/cell-driver.ts'
import { never, until } from '../../conformance/cell-driver/trial.ts'
import { openHarness, type PodmanHarness, podmanSubject } from './harness.ts'

/** Kept by the kernel where the controllers are delegated (test:vm has such a machine), refused where they are not. */
describe('level_3 podman limits by cgroup', () => {
  let harness: PodmanHarness
  const notices: ExitNotice[] = []
  beforeAll(async () => {
    harness = await openHarness()
    harness.driver.exits((notice) => notices.push(notice))
  })
  afterAll(async () => {
    await harness[Symbol.asyncDispose]()
  })

  it('are those of the kernel, and what it ends for its memory is called oom; or they are refused', async () => {
    const memory = 64 * 1024 ** 2
    const command = ['perl', '-e', 'my $x = "x" x (256 * 1024 * 1024); sleep 60']
    const { limits } = (await harness.spec()).policy
    const spec = await harness.spec({ command, policy: { limits: { ...limits, memory, cpu: 0.5 } } })
    if (podmanSubject.can.unkept !== null) {
      const strict = { ...spec, policy: { ...spec.policy, degradable: [] } }
      await expect(harness.driver.spawn(strict, never)).rejects.toMatchObject({ code: 'isolation_degraded' })
      expect(await harness.leftovers()).toEqual([])
      return
    }
    const { handle, effective } = await harness.driver.spawn(spec, never)
    expect(effective.limits.memory).toEqual({ value: memory, enforced_by: 'cgroup' })
    expect(effective.limits.cpu).toEqual({ value: 0.5, enforced_by: 'cgroup' })
    expect(effective.limits.pids?.enforced_by).toBe('cgroup')
    const { exit } = await until('the end is told', () => notices[0])
    expect(exit).toMatchObject({ cause: 'oom', signal: 'SIGKILL' })
    await harness.driver.destroy(handle)
    expect(await harness.leftovers()).toEqual([])
  })
})
