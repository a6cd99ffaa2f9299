import { execFile, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SandboxHandle } from '../../../src/contract/seat.ts'
import { monitorOf, processesOf } from '../../../src/drivers/podman/cell-processes.ts'
import { PodmanClient } from '../../../src/drivers/podman/client.ts'
import { runExec } from '../../../src/drivers/podman/exec.ts'
import { ExecStarts } from '../../../src/drivers/shared/exec-starts.ts'
import { isAlive } from '../../../src/linux/process.ts'
import type { ExitNotice, SandboxSpec } from '../../../src/ports/cell-driver.ts'
import { never, until } from '../../conformance/cell-driver/trial.ts'
import { openHarness, type PodmanHarness } from './harness.ts'

const podman = (...args: string[]) =>
  execFileSync('podman', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const serviceDirectory = ({ deps }: PodmanHarness) => join(deps.runtimeDir, `lazarus-${deps.stateKey.slice(0, 8)}`)
const anotherBoot = '00000000-0000-0000-0000-000000000000:1'

describe('level_3 podman deaths behind the back of the pit', () => {
  let harness: PodmanHarness
  const notices: ExitNotice[] = []
  const listen = () => harness.driver.exits((notice) => notices.push(notice))
  beforeAll(async () => {
    harness = await openHarness()
    listen()
  })
  afterAll(async () => {
    const leftovers = await harness.leftovers()
    await harness[Symbol.asyncDispose]()
    expect(leftovers).toEqual([])
  })
  const spawn = async (command = ['sleep', 'infinity']) => {
    const spec = await harness.spec({ command })
    return { spec, handle: (await harness.driver.spawn(spec, never)).handle }
  }
  const of = (spec: SandboxSpec) => notices.filter(({ name }) => name.mission_id === spec.name.mission_id)
  const told = async (spec: SandboxSpec) => (await until('the end is told', () => of(spec)[0])).exit
  const inCell = ({ pid, start_time }: SandboxHandle) => (isAlive(pid, start_time) ? processesOf(pid!) : [])

  it.each([
    ['kill', ['kill'], 'SIGKILL'],
    ['kill --signal TERM', ['kill', '--signal', 'TERM'], 'SIGTERM'],
    ['stop', ['stop', '--time', '5'], 'SIGTERM'],
  ])('podman %s is a death by signal, told once', async (_, args, signal) => {
    const { spec, handle } = await spawn()
    podman(...args, handle.container_id!)
    expect(await told(spec)).toMatchObject({ cause: 'signal', signal })
    await harness.driver.destroy(handle)
    expect(of(spec)).toHaveLength(1)
  })

  it('podman rm --force is a death, and the rest of it is destroyed', async () => {
    const { spec, handle } = await spawn()
    podman('rm', '--force', '--time', '0', handle.container_id!)
    const { cause } = await told(spec)
    // Podman may take the word of its end away before anybody has read it.
    expect(['signal', 'runtime_gone']).toContain(cause)
    expect(await harness.driver.adopt(handle)).toEqual({ state: 'gone' })
    expect(await harness.driver.destroy(handle)).toEqual({ processes: 0, containers: 0, mounts: 0 })
    expect(await harness.driver.list()).toEqual([])
  })

  it('the end of the first process of a container is one of the whole cell', async () => {
    const { spec, handle } = await spawn(['/bin/sh', '-c', 'setsid sleep 4711 & exec sleep infinity'])
    process.kill(handle.pid!, 'SIGKILL')
    expect(await told(spec)).toMatchObject({ cause: 'signal', signal: 'SIGKILL' })
    expect(inCell(handle)).toEqual([])
    await harness.driver.destroy(handle)
  })

  it('a killed monitor costs the cell its life: nothing of it runs when runtime_gone is told', async () => {
    const { spec, handle } = await spawn(['/bin/sh', '-c', 'setsid sleep 4711 & exec sleep infinity'])
    const monitor = monitorOf(handle.pid!)!
    const killed = performance.now()
    process.kill(monitor.pid, 'SIGKILL')
    await until('the monitor is dead', () => !isAlive(monitor.pid, monitor.start_time))
    expect(isAlive(handle.pid, handle.start_time), 'positive control: the container minds nothing').toBe(true)
    expect(await told(spec)).toMatchObject({ cause: 'runtime_gone', code: null, noticed_by: 'end of its monitor' })
    expect(performance.now() - killed).toBeLessThan(5_000)
    expect(inCell(handle)).toEqual([])
    await harness.driver.destroy(handle)
    expect(of(spec)).toHaveLength(1)
  })

  it('a monitor that was killed while no pit looked is found at adoption', async () => {
    const { handle } = await spawn()
    await harness.restart()
    listen()
    const monitor = monitorOf(handle.pid!)!
    process.kill(monitor.pid, 'SIGKILL')
    await until('the monitor is dead', () => !isAlive(monitor.pid, monitor.start_time))
    expect(await harness.driver.adopt(handle)).toMatchObject({ state: 'exited', exit: { cause: 'runtime_gone' } })
    expect(inCell(handle)).toEqual([])
    await harness.driver.destroy(handle)
  })

  it('the death of the API service is none of the cells, and theirs are told without it', async () => {
    const { spec, handle } = await spawn()
    const path = join(serviceDirectory(harness), 'podman.json')
    const service = JSON.parse(readFileSync(path, 'utf8'))
    process.kill(service.pid, 'SIGKILL')
    await until('the service is dead', () => !isAlive(service.pid, service.start_time))
    expect(await harness.driver.adopt(handle)).toEqual({ state: 'running', handle })
    const again = JSON.parse(readFileSync(path, 'utf8'))
    process.kill(again.pid, 'SIGKILL')
    process.kill(handle.agent_pid!, 'SIGTERM')
    expect(await told(spec)).toMatchObject({ cause: 'signal', signal: 'SIGTERM', noticed_by: 'exit file of conmon' })
    await harness.driver.destroy(handle)
    expect(of(spec)).toHaveLength(1)
  })

  it('a restart of the host is told also of a container that nobody knows any more', async () => {
    const { handle } = await spawn()
    await harness.driver.destroy(handle)
    const before = { ...handle, start_time: anotherBoot }
    expect(await harness.driver.adopt(before)).toMatchObject({ state: 'exited', exit: { cause: 'host_restart' } })
  })

  it('what somebody paused with podman is thawed whole: it takes execs again', async () => {
    const { spec, handle } = await spawn()
    podman('pause', handle.container_id!)
    const exec = { command: ['true'], environment: spec.environment, cwd: '/', stdin: null }
    const run = () => harness.driver.exec({ handle, spec }, exec, () => {}, never)
    await expect(run(), 'positive control').rejects.toMatchObject({ code: 'conflict' })
    await harness.driver.signal(handle, 'thaw')
    expect(await run()).toMatchObject({ exit_code: 0 })
    await harness.driver.destroy(handle)
  })

  it('an exec that comes before Podman calls the container running is tried again until it does', async () => {
    const { spec, handle } = await spawn()
    const image = podman('inspect', '--format', '{{.Image}}', handle.container_id!).trim()
    const label = `lazarus.state=${harness.deps.stateKey}`
    const container = podman('create', '--network', 'none', '--label', label, image, 'sleep', 'infinity').trim()
    const client = new PodmanClient(join(serviceDirectory(harness), 'podman.sock'))
    const exec = { command: ['true'], environment: spec.environment, cwd: '/', stdin: null }
    let attempts = 0
    const createExec = client.createExec.bind(client)
    client.createExec = (id, request) => {
      attempts += 1
      return createExec(id, request)
    }
    const limits = { limits: spec.policy.limits, memory_by_cgroup: false }
    const target = {
      container,
      init: handle.pid!,
      alive: () => true,
      environment: [],
      limits,
      starts: new ExecStarts(),
      started: () => {},
    }
    const running = runExec(
      client,
      target,
      exec,
      () => {},
      never,
      () => {},
    )
    await until('it was refused', () => attempts > 1)
    await promisify(execFile)('podman', ['start', container], { cwd: '/' })
    expect(await running).toMatchObject({ exit_code: 0 })
    client.close()
    podman('rm', '--force', '--time', '0', container)
    await harness.driver.destroy(handle)
  })

  it('one that a pit froze and was killed over is thawed by the next', async () => {
    const { spec, handle } = await spawn(['/bin/sh', '-c', 'while :; do echo x; sleep 0.01; done'])
    await harness.driver.signal(handle, 'freeze')
    const size = async () => (await readFile(spec.log_path)).length
    const frozen = await size()
    await harness.restart()
    listen()
    expect(await harness.driver.adopt(handle)).toMatchObject({ state: 'running' })
    expect(await size()).toBe(frozen)
    await harness.driver.signal(handle, 'thaw')
    await harness.driver.signal(handle, 'thaw')
    await until('it goes on', async () => (await size()) > frozen)
    await harness.driver.destroy(handle)
  })
})
