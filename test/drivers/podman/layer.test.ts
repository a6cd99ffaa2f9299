import { afterAll, beforeAll, expect, it } from 'vitest'
import type { SandboxSpec } from '../../../src/ports/cell-driver.ts'
import { never, until } from '../../conformance/cell-driver/trial.ts'
import { openHarness, type PodmanHarness } from './harness.ts'

let harness: PodmanHarness
beforeAll(async () => {
  harness = await openHarness()
})
afterAll(async () => {
  const leftovers = await harness.leftovers()
  await harness[Symbol.asyncDispose]()
  expect(leftovers).toEqual([])
})

/** What survives lies in the layer and the home; each of the other places takes what is written, and forgets it. */
const KEPT = ['/workspace/work.txt', '/home/agent/.session/id', '/artifacts/result']
const LOST = ['/tmp/cache', '/var/tmp/tool', '/run/tool.pid', '/dev/shm/segment']
const CHANGE = [
  'umask 022; mkdir -p /home/agent/.session; echo changed >> /workspace/README; rm /workspace/src/main.txt',
  ...KEPT.map((path) => `echo "of generation $1" > ${path}`),
  ...LOST.map((path) => `echo lost > ${path}`),
].join('\n')
const LOOK = [
  ...KEPT.map((path) => `cat ${path}`),
  'cat /workspace/README; ls /workspace/src',
  ...LOST.map((path) => `[ ! -e ${path} ] || echo "still there: ${path}"`),
].join('\n')
const INSTALL =
  'for place in /usr/local/bin /opt /etc /var/lib; do echo x 2>/dev/null > $place/tool && echo "installed in $place"; done; true'

async function sh(spec: SandboxSpec, script: string): Promise<string> {
  const [handle] = (await harness.driver.list()).filter(({ generation }) => generation === spec.name.generation)
  const command = ['/bin/sh', '-c', script, 'sh', String(spec.name.generation)]
  let told = ''
  const keep = (_: string, data: Uint8Array) => {
    told += Buffer.from(data).toString()
  }
  const exec = { command, environment: spec.environment, cwd: '/', stdin: null }
  expect(await harness.driver.exec({ handle: handle!, spec }, exec, keep, never)).toMatchObject({ exit_code: 0 })
  return told
}

it('level_3 keeps /workspace and the home of an agent whose container is made anew from nothing, and nothing else', async () => {
  const first = await harness.spec({ command: ['sleep', 'infinity'] })
  const { handle } = await harness.driver.spawn(first, never)
  await sh(first, CHANGE)
  expect(await sh(first, INSTALL), 'nothing can be installed outside: the root is read-only').toBe('')
  expect(await sh(first, LOOK), 'positive control').toContain('still there: /var/tmp/tool')
  const ended = new Promise((tell) => harness.driver.exits(tell))
  await harness.driver.signal(handle, 'SIGKILL')
  await ended
  await harness.driver.destroy(handle)
  const second = { ...first, name: { ...first.name, generation: 2 } }
  const next = await harness.driver.spawn(second, never)
  expect(next.handle.container_id).not.toBe(handle.container_id)
  expect(await sh(second, LOOK)).toBe(`${'of generation 1\n'.repeat(KEPT.length)}of the base\nchanged\n`)
  await until('the first container is gone', async () => (await harness.driver.list()).length === 1)
  await harness.driver.destroy(next.handle)
})
