import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { SandboxHandle } from '../../../src/contract/seat.ts'
import { keyOf, Records, type SandboxRecord } from '../../../src/drivers/shared/records.ts'
import { allPids, commandLine, isAlive, namespaceOf, processFact } from '../../../src/linux/process.ts'
import type { ExitNotice, SandboxSpec } from '../../../src/ports/cell-driver.ts'
import type { SpecChange } from '../../conformance/cell-driver/specs.ts'
import { until } from '../../conformance/cell-driver/trial.ts'
import { PACE } from '../../support/pace.ts'
import { endAll, type HullHarness, never, openHarness } from './trial-seat.ts'

const STAY = ['sleep', 'infinity']
const ANOTHER_BOOT = '00000000-0000-0000-0000-000000000000:1'

describe.each(['level_1', 'level_2'] as const)('%s deaths behind the back of the pit', (level) => {
  let harness: HullHarness
  const notices: ExitNotice[] = []
  const listen = () => harness.driver.exits((notice) => notices.push(notice))
  beforeAll(async () => {
    harness = await openHarness(level)
    listen()
  })
  afterEach(async () => {
    expect(await endAll(harness)).toEqual([])
  })
  afterAll(() => harness[Symbol.asyncDispose]())

  const spawn = async (change: SpecChange = {}) => {
    const spec = await harness.spec({ command: STAY, ...change })
    return { spec, handle: (await harness.driver.spawn(spec, never)).handle }
  }
  const recordPath = (spec: SandboxSpec) => join(harness.deps.root, 'sandboxes', `${keyOf(spec.name)}.json`)
  const recordOf = (spec: SandboxSpec) => JSON.parse(readFileSync(recordPath(spec), 'utf8')) as SandboxRecord
  const of = (spec: SandboxSpec) => notices.filter(({ name }) => name.mission_id === spec.name.mission_id)
  const told = async (spec: SandboxSpec) => (await until('the end is told', () => of(spec)[0])).exit
  /** Of the cell, but its init, which the kernel may still be taking down. */
  const inside = (namespace: string, { pid }: SandboxHandle) =>
    allPids().filter((other) => other !== pid && namespaceOf(other, 'pid') === namespace)
  const gone = (handle: SandboxHandle) => until('it is gone', () => !isAlive(handle.pid, handle.start_time))
  const sh = async (spec: SandboxSpec, handle: SandboxHandle, script: string) => {
    let output = ''
    const command = ['/bin/sh', '-c', script]
    const exec = { command, environment: spec.environment, cwd: '/workspace', stdin: null }
    const keep = (_: string, data: Uint8Array) => {
      output += Buffer.from(data)
    }
    await harness.driver.exec({ handle, spec }, exec, keep, never)
    return output
  }

  it('a killed hull is runtime_gone, told once, and nobody says anything about it in the log of the agent', async () => {
    const { spec, handle } = await spawn({
      command: ['/bin/sh', '-c', 'echo mine; setsid sleep 4711 & exec sleep 900'],
    })
    await until('it runs', async () => (await readFile(spec.log_path, 'utf8').catch(() => '')) === 'mine\n')
    const namespace = namespaceOf(handle.pid!, 'pid')!
    process.kill(handle.pid!, 'SIGKILL')
    expect(await told(spec)).toMatchObject({ cause: 'runtime_gone', code: null, noticed_by: 'exit record' })
    expect(inside(namespace, handle)).toEqual([])
    await harness.driver.destroy(handle)
    expect(await readFile(spec.log_path, 'utf8')).toBe('mine\n')
    expect(of(spec)).toHaveLength(1)
  })

  it.each(['shim', 'group of the shim'])('a killed %s takes the cell along, and that is told at once', async (what) => {
    const { spec, handle } = await spawn()
    const namespace = namespaceOf(handle.pid!, 'pid')!
    const { shim } = recordOf(spec)
    const killed = performance.now()
    process.kill(what === 'shim' ? shim!.pid : -shim!.pid, 'SIGKILL')
    expect(await told(spec)).toMatchObject({ cause: 'runtime_gone', code: null, noticed_by: 'end of its shim' })
    expect(performance.now() - killed).toBeLessThan(500 * PACE)
    expect(inside(namespace, handle)).toEqual([])
    await harness.driver.destroy(handle)
    expect(of(spec)).toHaveLength(1)
  })

  it('a killed shim that an earlier pit started is found by a look within seconds', async () => {
    const { spec, handle } = await spawn()
    await harness.restart()
    listen()
    expect(await harness.driver.adopt(handle)).toMatchObject({ state: 'running' })
    const earlier = of(spec).length
    process.kill(recordOf(spec).shim!.pid, 'SIGKILL')
    const killed = performance.now()
    const notice = await until('the look', () => of(spec).find(({ exit }) => exit.noticed_by === 'poll'))
    expect(notice.exit.cause).toBe('runtime_gone')
    expect(performance.now() - killed).toBeLessThan(5_000 * PACE)
    expect(earlier).toBe(0)
    await harness.driver.destroy(handle)
  })

  it('what lost its shim while no pit looked is runtime_gone at adoption', async () => {
    const { spec, handle } = await spawn()
    process.kill(recordOf(spec).shim!.pid, 'SIGKILL')
    await gone(handle)
    await harness.restart()
    listen()
    expect(await harness.driver.adopt(handle)).toMatchObject({ state: 'exited', exit: { cause: 'runtime_gone' } })
    await harness.driver.destroy(handle)
  })

  it('a restart of the host is told by the boot id, with a record and without', async () => {
    const { spec, handle } = await spawn()
    await harness.driver.signal(handle, 'SIGKILL')
    await told(spec)
    await gone(handle)
    const record = recordOf(spec)
    rmSync(new Records(harness.deps.root).exitPath(record))
    const before = { ...record, hull: { ...record.hull!, start_time: ANOTHER_BOOT } }
    writeFileSync(recordPath(spec), JSON.stringify(before))
    await harness.restart()
    listen()
    expect(await harness.driver.adopt(handle)).toMatchObject({ state: 'exited', exit: { cause: 'host_restart' } })
    await harness.driver.destroy(handle)
    const unrecorded = { ...handle, start_time: ANOTHER_BOOT }
    expect(await harness.driver.adopt(unrecorded)).toMatchObject({ state: 'exited', exit: { cause: 'host_restart' } })
  })

  it('the death of the program that starts sandboxes is none of theirs, and the next one is started all the same', async () => {
    const { spec, handle } = await spawn()
    const starter = processFact(recordOf(spec).shim!.pid)!.parent
    expect(commandLine(starter)).toContain('shim.pl')
    process.kill(starter, 'SIGKILL')
    await until('it is dead', () => processFact(starter) === null)
    const next = await spawn()
    expect(await sh(next.spec, next.handle, 'echo well')).toBe('well\n')
    await harness.driver.destroy(next.handle)
    process.kill(handle.agent_pid!, 'SIGTERM')
    expect(await told(spec)).toMatchObject({ cause: 'signal', signal: 'SIGTERM', noticed_by: 'exit record' })
    expect(of(spec)).toHaveLength(1)
    await harness.driver.destroy(handle)
  })

  it('when a death is told nothing of the cell runs any more, and its log is whole', async () => {
    const survivors = '(setsid sh -c "trap \'\' TERM HUP; sleep 4711 & sleep 4711" &); sleep 4711 & kill -STOP $!'
    const script = `${survivors}; head -c 3000000 /dev/zero | tr '\\0' x; echo the end; kill -KILL $$`
    const { spec, handle } = await spawn({ command: ['/bin/sh', '-c', script] })
    const namespace = namespaceOf(handle.pid!, 'pid')
    const seen = new Promise<{ left: number[]; log: string }>((resolve) => {
      harness.driver.exits(({ name }) => {
        if (name.mission_id !== spec.name.mission_id) return
        resolve({ left: namespace === null ? [] : inside(namespace, handle), log: readFileSync(spec.log_path, 'utf8') })
      })
    })
    const { left, log } = await seen
    expect(left).toEqual([])
    expect([log.length, log.slice(-9)]).toEqual([3_000_008, 'the end\n'.padStart(9, 'x')])
    expect(await told(spec)).toMatchObject({ cause: 'signal', signal: 'SIGKILL' })
    await harness.driver.destroy(handle)
  })

  it('a successor on the same layer starts while the kernel takes the mounts of the dead one down', async () => {
    let { spec, handle } = await spawn()
    for (const generation of [2, 3, 4, 5]) {
      await sh(spec, handle, `echo ${generation - 1} >> /workspace/generations`)
      process.kill(handle.agent_pid!, 'SIGKILL')
      await until('the end is told', () => of(spec).length === generation - 1)
      await harness.driver.destroy(handle)
      await harness.driver.destroy(handle)
      spec = { ...spec, name: { ...spec.name, generation } }
      handle = (await harness.driver.spawn(spec, never)).handle
    }
    expect(await sh(spec, handle, 'cat /workspace/generations')).toBe('1\n2\n3\n4\n')
    expect(await harness.driver.list()).toEqual([handle])
    await harness.driver.destroy(handle)
  })
})
