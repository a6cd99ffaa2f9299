import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { SandboxHandle } from '../../../src/contract/seat.ts'
import { SPAWN_STEPS } from '../../../src/drivers/shared/start.ts'
import type { SandboxSpec } from '../../../src/ports/cell-driver.ts'
import { until } from '../../conformance/cell-driver/trial.ts'
import { endAll, type HullHarness, never, openHarness } from './trial-seat.ts'

describe.each(['level_1', 'level_2'] as const)('%s when the pit is killed', (level) => {
  let harness: HullHarness
  beforeAll(async () => {
    harness = await openHarness(level)
  })
  afterEach(async () => {
    expect(await endAll(harness)).toEqual([])
  })
  afterAll(() => harness[Symbol.asyncDispose]())

  async function pit(spec: SandboxSpec, dieAt = 'never', extra: number[] = []): Promise<ChildProcess> {
    const file = join(harness.root, `${spec.name.mission_id}.spec`)
    await writeFile(file, JSON.stringify(spec))
    const program = join(import.meta.dirname, 'pit.ts')
    const args = [program, level, harness.deps.root, harness.deps.policies_dir, file, dieAt]
    return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit', ...extra] })
  }

  const firstLine = (child: ChildProcess) =>
    new Promise<SandboxHandle>((resolve, reject) => {
      child.stdout!.once('data', (data) => resolve(JSON.parse(String(data))))
      child.once('exit', () => reject(new Error('the pit ended')))
    })
  const killed = (child: ChildProcess) => new Promise((done) => child.once('exit', done))

  it('the agent lives on, its log too, and the next pit takes it over', async () => {
    const command = [
      '/bin/sh',
      '-c',
      'while [ ! -e /artifacts/go ]; do sleep 0.01; done; echo after; exec sleep infinity',
    ]
    const spec = await harness.spec({ command })
    const child = await pit(spec)
    const handle = await firstLine(child)
    const dead = killed(child)
    process.kill(child.pid!, 'SIGKILL')
    await dead
    const next = await harness.restart()
    expect(await next.list()).toEqual([handle])
    expect(await next.adopt(handle)).toEqual({ state: 'running', handle })
    const again = await next.spawn(spec, never)
    expect(again.handle, 'spawned once').toEqual(handle)
    const ended = new Promise((told) => next.exits(told))
    await next.exec(
      { handle, spec },
      { command: ['touch', '/artifacts/go'], environment: spec.environment, cwd: '/', stdin: null },
      () => {},
      never,
    )
    await until('the log goes on', async () => (await readFile(spec.log_path, 'utf8').catch(() => '')) === 'after\n')
    process.kill(handle.agent_pid!, 'SIGKILL')
    expect(await ended).toMatchObject({ exit: { cause: 'signal', signal: 'SIGKILL' } })
    await next.destroy(handle)
  })

  it.each(SPAWN_STEPS)(
    'between two steps of a spawn (before %s) nothing stays that the next spawn would not find',
    async (step) => {
      const spec = await harness.spec({ command: ['sleep', 'infinity'] })
      await killed(await pit(spec, step))
      const next = await harness.restart()
      await until('no process is left', async () =>
        (await harness.leftovers()).every((left) => !left.startsWith('process')),
      )
      const sandbox = await next.spawn(spec, never)
      expect(await next.adopt(sandbox.handle)).toMatchObject({ state: 'running' })
      await next.destroy(sandbox.handle)
    },
  )

  it('the agent gets no descriptor that the pit inherited', async () => {
    const handed = Array.from({ length: 60 }, () => openSync('/etc/hostname', 'r'))
    const list = ['/bin/ls', '-l', '/proc/self/fd']
    const plain = spawn(list[0]!, list.slice(1), { stdio: ['ignore', 'pipe', 'inherit', ...handed] })
    expect(await text(plain.stdout!), 'positive control').toContain('/etc/hostname')
    const spec = await harness.spec({ command: list })
    const child = await pit(spec, 'never', handed)
    const handle = await firstLine(child)
    await until('it printed', async () => (await readFile(spec.log_path, 'utf8').catch(() => '')).includes(' 3 -> '))
    const printed = await readFile(spec.log_path, 'utf8')
    expect(printed).not.toContain('hostname')
    expect(printed.match(/ \d+ -> /g), '3 is the listing itself').toEqual([' 0 -> ', ' 1 -> ', ' 2 -> ', ' 3 -> '])
    const dead = killed(child)
    process.kill(child.pid!, 'SIGKILL')
    await dead
    for (const fd of handed) closeSync(fd)
    await (await harness.restart()).destroy(handle)
  })
})
