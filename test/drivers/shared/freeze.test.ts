import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { allPids, namespaceOf, processFact } from '../../../src/linux/process.ts'
import { until } from '../../conformance/cell-driver/trial.ts'
import { endAll, type HullHarness, openHarness, seat } from './trial-seat.ts'

describe.each(['level_1', 'level_2'] as const)('%s freeze', (level) => {
  let harness: HullHarness
  beforeAll(async () => {
    harness = await openHarness(level)
  })
  afterAll(async () => {
    expect(await endAll(harness)).toEqual([])
    await harness[Symbol.asyncDispose]()
  })

  it('stops every process but the init of the hull; a running exec goes on after it', async () => {
    const cell = await seat(harness, { command: ['/bin/sh', '-c', 'trap "" TSTP; setsid sleep 900 & exec sleep 901'] })
    const [handle] = await harness.driver.list()
    const exec = cell.run(['/bin/sh', '-c', 'while [ ! -e /artifacts/go ]; do sleep 0.01; done; echo went on'])
    const inside = () =>
      allPids().filter((pid) => pid !== handle!.pid && namespaceOf(pid, 'pid') === namespaceOf(cell.agent_pid, 'pid'))
    await until('the exec runs', () => inside().length >= 4)
    await harness.driver.signal(handle!, 'freeze')
    const states = inside().map((pid) => processFact(pid)?.state)
    expect(states.length).toBeGreaterThanOrEqual(3)
    expect(
      states.every((state) => 'TDZ'.includes(state ?? '?')),
      states.join(),
    ).toBe(true)
    await harness.driver.signal(handle!, 'thaw')
    await writeFile(`${cell.spec.run_dir}/../artifacts/go`, '')
    expect(await exec).toMatchObject({ exit_code: 0, stdout: 'went on\n' })
    await harness.driver.destroy(handle!)
  })

  it('is ended all the same with an exec that is frozen, also one that an earlier pit left', async () => {
    for (const restarted of [false, true]) {
      const cell = await seat(harness)
      const [handle] = await harness.driver.list()
      const exec = cell.run(['/bin/sh', '-c', 'echo up; touch /artifacts/up; sleep 902'])
      await until('the exec runs', async () => (await cell.run(['ls', '/artifacts'])).stdout === 'up\n')
      await harness.driver.signal(handle!, 'freeze')
      const driver = restarted ? await harness.restart() : harness.driver
      expect((await driver.destroy(handle!)).processes).toBeGreaterThanOrEqual(3)
      expect(await exec).toMatchObject({ exit_code: null })
    }
  })
})
