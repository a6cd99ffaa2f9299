import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SandboxHandle } from '../../src/contract/seat.ts'
import { isAlive } from '../../src/linux/process.ts'
import { never } from '../conformance/cell-driver/trial.ts'
import type { DriverHarness } from '../conformance/cell-driver.ts'
import { openHarness as openPodman } from '../drivers/podman/harness.ts'
import { openHarness as openHull } from '../drivers/shared/harness.ts'
import { LEVELS, type Level, Stage } from './stage.ts'

/** Several pits, and the tests of several people, share one user and one Podman: none may end what is another's. */
const handlesOf = async (stage: Stage): Promise<SandboxHandle[]> => {
  const { body } = await stage.call('GET', '/v1/events?types=seat_spawned')
  return body.events.map((event: { data: { handle: SandboxHandle } }) => event.data.handle)
}
const lives = ({ pid, start_time }: SandboxHandle): boolean => isAlive(pid, start_time)

const open = (level: Level): Promise<DriverHarness> => (level === 'level_3' ? openPodman() : openHull(level))

let stage: Stage
let handles: SandboxHandle[]
beforeAll(async () => {
  stage = await Stage.open()
  for (const level of LEVELS) await (await stage.mission(level)).seat('eve', { command: ['sleep', 'infinity'] })
  handles = await handlesOf(stage)
})
afterAll(() => stage?.[Symbol.asyncDispose]())

it('level_1, level_2, level_3: another pit that starts, recovers, works and ends leaves the cells of this one alone', async () => {
  expect(handles.map(lives)).toEqual([true, true, true])
  const other = await Stage.open()
  const left = await other.mission('level_3')
  await left.seat('eve')
  await other.pit.stop('SIGKILL')
  await other.pit.start()
  await left.destroy()
  await other[Symbol.asyncDispose]()
  expect(handles.map(lives)).toEqual([true, true, true])
})

describe.each(LEVELS)('a driver of %s', (level) => {
  it('neither lists, adopts, signals nor ends the sandbox of another state directory', async () => {
    await using mine = await open(level)
    await using theirs = await open(level)
    const spec = await theirs.spec({ command: ['sleep', 'infinity'] })
    const { handle } = await theirs.driver.spawn(spec, never)
    expect((await theirs.driver.list()).length, 'positive control').toBe(1)
    expect(await mine.driver.list()).toEqual([])
    expect(await mine.driver.adopt(handle)).toEqual({ state: 'gone' })
    const forged = { ...handle, run_dir: (await mine.spec()).run_dir }
    expect(await mine.driver.destroy(forged)).toMatchObject({ processes: 0, containers: 0 })
    expect(lives(handle)).toBe(true)
    expect((await theirs.driver.destroy(handle)).processes, 'positive control').toBeGreaterThan(0)
    expect(lives(handle)).toBe(false)
  })
})
