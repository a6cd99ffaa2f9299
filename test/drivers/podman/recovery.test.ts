import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { execMonitorsOf } from '../../../src/drivers/podman/cell-processes.ts'
import { createPodmanDriver } from '../../../src/drivers/podman/driver.ts'
import { isAlive, processFact } from '../../../src/linux/process.ts'
import type { ExitNotice, SandboxSpec } from '../../../src/ports/cell-driver.ts'
import { never, until } from '../../conformance/cell-driver/trial.ts'
import { openHarness, type PodmanHarness } from './harness.ts'

const STAY = ['sleep', 'infinity']

const serviceRecord = ({ deps }: PodmanHarness) =>
  join(deps.runtimeDir, `lazarus-${deps.stateKey.slice(0, 8)}`, 'podman.json')

describe('level_3 podman behind our back', () => {
  let harness: PodmanHarness
  const notices: ExitNotice[] = []
  beforeAll(async () => {
    harness = await openHarness()
    harness.driver.exits((notice) => notices.push(notice))
  })
  afterAll(async () => {
    const leftovers = await harness.leftovers()
    await harness[Symbol.asyncDispose]()
    expect(leftovers).toEqual([])
  })
  const spawn = async () => {
    const spec = await harness.spec({ command: STAY })
    return { spec, handle: (await harness.driver.spawn(spec, never)).handle }
  }
  const told = (spec: SandboxSpec) =>
    until('the end is told', () => notices.find(({ name }) => name.mission_id === spec.name.mission_id))

  it('lists only the containers of its own state directory', async () => {
    const { handle } = await spawn()
    const other = createPodmanDriver({ ...harness.deps, stateKey: 'of-another-pit' })
    expect(await other.list()).toEqual([])
    await other.close()
    expect(await harness.driver.list()).toEqual([handle])
    await harness.driver.destroy(handle)
  })

  it('tells a death also when the monitor was killed: the runtime has no record', async () => {
    const { spec, handle } = await spawn()
    process.kill(processFact(handle.pid!)!.parent, 'SIGKILL')
    process.kill(handle.agent_pid!, 'SIGKILL')
    const { exit } = await told(spec)
    expect(exit.noticed_by).toBe('end of the process')
    expect(['runtime_gone', 'signal', 'exit']).toContain(exit.cause)
    await harness.driver.destroy(handle)
  })

  it('knows a death by reboot from the boot id', async () => {
    const { handle } = await spawn()
    await harness.driver.signal(handle, 'SIGKILL')
    const before = { ...handle, start_time: '00000000-0000-0000-0000-000000000000:1' }
    const judged = await until('Podman has recorded it', async () => {
      const found = await harness.driver.adopt(before)
      return found.state === 'exited' && found
    })
    expect(judged.exit).toMatchObject({ cause: 'host_restart', code: null, signal: null })
    await harness.driver.destroy(handle)
  })

  it('tidies what the API leaves of every exec, when it is quiet', async () => {
    const { spec, handle } = await spawn()
    const exec = { command: ['true'], environment: spec.environment, cwd: '/', stdin: null }
    for (let n = 0; n < 3; n += 1) await harness.driver.exec({ handle, spec }, exec, () => {}, never)
    expect(execMonitorsOf(handle.container_id!).length).toBeGreaterThan(0)
    await until('no monitor of an exec is left', () => execMonitorsOf(handle.container_id!).length === 0)
    const ids = execFileSync('podman', ['inspect', '--format', '{{len .ExecIDs}}', handle.container_id!], {
      encoding: 'utf8',
    })
    expect(Number(ids)).toBe(0)
    expect(isAlive(handle.pid, handle.start_time)).toBe(true)
    await harness.driver.destroy(handle)
  })

  it('starts the API service again when it has died', async () => {
    await using own = await openHarness()
    const spec = await own.spec({ command: STAY })
    const { handle } = await own.driver.spawn(spec, never)
    const record = JSON.parse(readFileSync(serviceRecord(own), 'utf8'))
    process.kill(record.pid, 'SIGKILL')
    await until('the service is dead', () => !isAlive(record.pid, record.start_time))
    expect(await own.driver.list(), 'the container did not mind').toEqual([handle])
    await own.driver.destroy(handle)
  })

  it('finds the API service of a pit that was killed, and ends it at close', async () => {
    await using own = await openHarness()
    await own.driver.list()
    const record = () => JSON.parse(readFileSync(serviceRecord(own), 'utf8'))
    const first = record()
    await own.restart()
    await own.driver.list()
    expect(record()).toEqual(first)
    await own.driver.close()
    await until('the service ends', () => !isAlive(first.pid, first.start_time))
  })
})
