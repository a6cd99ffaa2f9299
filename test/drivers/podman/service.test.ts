import { existsSync } from 'node:fs'
import { mkdir, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readServiceRecord, serviceDirectory, sweepServices } from '../../../src/drivers/podman/service-record.ts'
import { isAlive } from '../../../src/linux/process.ts'
import { until } from '../../conformance/cell-driver/trial.ts'
import { clock, openHarness, type PodmanHarness } from './harness.ts'

const HOUR_MS = 3_600_000
const own = ({ deps }: PodmanHarness) => serviceDirectory(deps.runtimeDir, deps.stateKey)

async function started(harness: PodmanHarness) {
  await harness.driver.list()
  return readServiceRecord(own(harness))!
}

describe('level_3 the directory of the API service', () => {
  it('goes with a pit that stops, whoever removes the socket first', async () => {
    for (let round = 0; round < 3; round += 1) {
      await using harness = await openHarness()
      const { pid, start_time } = await started(harness)
      await harness.driver.close()
      await until('the service ends', () => !isAlive(pid, start_time))
      expect(existsSync(own(harness))).toBe(false)
    }
  })

  it('of a pit that was killed and whose state directory is gone goes with the start of another, and so does the service', async () => {
    await using killed = await openHarness()
    const { pid, start_time } = await started(killed)
    const { runtimeDir } = killed.deps
    await using next = await openHarness(undefined, { runtimeDir })
    await started(next)
    expect(isAlive(pid, start_time), 'while the state directory is there').toBe(true)
    await rm(killed.deps.root, { recursive: true })
    sweepServices(runtimeDir, clock.now())
    await until('the service ends', () => !isAlive(pid, start_time))
    expect(existsSync(own(killed))).toBe(false)
    expect(existsSync(own(next)), 'the living one is left alone').toBe(true)
    await mkdir(killed.deps.root)
  })

  it('goes when it is old and nothing serves in it, and nothing else does', async () => {
    await using harness = await openHarness()
    await started(harness)
    const { runtimeDir } = harness.deps
    const names = ['lazarus-00000001', 'lazarus-00000002', 'lazarus-00000003', 'lazarus-of-somebody', 'podman']
    for (const name of names) await mkdir(join(runtimeDir, name))
    const dead = { pid: 2 ** 22, start_time: 'of another boot:1', root: harness.deps.root }
    await writeFile(join(runtimeDir, 'lazarus-00000002', 'podman.json'), JSON.stringify(dead))
    const old = new Date(clock.now() - 2 * HOUR_MS)
    for (const name of names.filter((name) => !name.endsWith('3'))) await utimes(join(runtimeDir, name), old, old)
    await utimes(own(harness), old, old)
    sweepServices(runtimeDir, clock.now())
    expect(names.filter((name) => existsSync(join(runtimeDir, name)))).toEqual(names.slice(2))
    expect(existsSync(own(harness))).toBe(true)
  })
})
