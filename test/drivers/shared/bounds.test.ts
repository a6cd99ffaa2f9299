import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { measure } from '../../../src/drivers/shared/measure.ts'
import { endAll, type HullHarness, openHarness, seat } from './trial-seat.ts'

describe.each(['level_1', 'level_2'] as const)('%s bounds', (level) => {
  let harness: HullHarness
  beforeAll(async () => {
    harness = await openHarness(level)
  })
  afterAll(async () => {
    expect(await endAll(harness)).toEqual([])
    await harness[Symbol.asyncDispose]()
  })
  const limited = (limits: object) => seat(harness, { policy: { limits } })

  it('processes: a fork bomb is stopped, agent and execs together, and other seats go on', async () => {
    const [bombed, other] = [await limited({ pids: 40 }), await limited({ pids: 400 })]
    const bomb =
      'for (1 .. 100) { my $p = fork; last unless defined $p; if (!$p) { close STDOUT; close STDERR; sleep 60; exit } $n++ } print $n'
    const count = ['/bin/sh', '-c', 'set -- /proc/[0-9]*; echo $#']
    // One of the two may find no room to start in: that is the limit too.
    const forked = await Promise.allSettled([0, 1].map(() => bombed.run(['perl', '-e', bomb])))
    const counts = forked.map((run) => (run.status === 'fulfilled' ? Number(run.value.stdout) : 0))
    for (const run of forked)
      if (run.status === 'rejected') expect(run.reason).toMatchObject({ code: 'runtime_failed' })
    expect(Math.max(...counts)).toBeGreaterThan(0)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBeLessThan(40)
    expect(Number((await bombed.run(count)).stdout)).toBeLessThanOrEqual(42)
    expect((await other.run(['perl', '-e', bomb])).stdout, 'positive control').toBe('100')
    expect(Number((await other.run(count)).stdout)).toBeGreaterThan(100)
  })

  it('open files and the size of one file', async () => {
    const cell = await limited({ nofile: 32, disk: 1024 ** 2 })
    const open = 'use POSIX; my $n = 0; while (defined POSIX::open("/dev/null")) { $n++ } print $n'
    expect(Number((await cell.run(['perl', '-e', open])).stdout)).toBeLessThanOrEqual(32)
    const grown = await cell.run([
      '/bin/sh',
      '-c',
      'head -c 3000000 /dev/zero > /artifacts/big; stat -c %s /artifacts/big',
    ])
    expect(grown.stdout).toBe(`${1024 ** 2}\n`)
  })

  it('report what the kernel says', async () => {
    const limits = { pids: 77, nofile: 99, disk: 2 ** 20, tmp: 4 * 2 ** 20 }
    const cell = await limited(limits)
    const facts = measure(cell.agent_pid, { limits, nested_user_namespaces: false, cgroup: null }).limits
    expect(facts).toEqual({
      pids: { value: 77, enforced_by: 'rlimit' },
      nofile: { value: 99, enforced_by: 'rlimit' },
      disk: { value: 2 ** 20, enforced_by: 'accounting' },
      tmp: { value: 4 * 2 ** 20, enforced_by: 'tmpfs' },
    })
    expect(
      measure(process.pid, { limits, nested_user_namespaces: true, cgroup: null }),
      'positive control: unconfined',
    ).toMatchObject({
      namespaces: [],
      network: 'host',
      workspace: 'none',
    })
  })
})
