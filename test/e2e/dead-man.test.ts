import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DeadManAlert, DeadManReport } from '../../src/contract/dead-man.ts'
import { lazarusProcess } from '../support/lazarus-process.ts'
import { PACE } from '../support/pace.ts'
import { PitProcess } from '../support/pit-process.ts'

/** Seconds of silence that are an outage. Looks come as often as a timer's would: five times within it, and more. */
const AFTER = 5 * PACE

let pit: PitProcess
let dir: string
let posted: DeadManAlert[]
let hook: ReturnType<typeof createServer>
let hookAnswers = 200

beforeEach(async () => {
  dir = await mkdtemp('/var/tmp/dead-man-')
  posted = []
  hookAnswers = 200
  hook = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    if (hookAnswers === 200) posted.push(JSON.parse(body))
    response.writeHead(hookAnswers).end()
  })
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve))
  // Without a container runtime, a killed pit leaves nothing running.
  pit = await PitProcess.create({ DOCKER_HOST: 'unix:///nonexistent/podman.sock' })
  await pit.configure({
    dead_man: {
      after: AFTER,
      command: ['sh', '-c', `printf '%s %s\\n' "$LAZARUS_ALERT_EVENT" "$LAZARUS_ALERT_OUTAGE_ID" >>'${dir}/command'`],
      webhook: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`,
      file: `${dir}/file`,
    },
  })
})
afterEach(async () => {
  await pit.stop()
  await rm(dirname(pit.stateDir), { recursive: true, force: true })
  hook.closeAllConnections()
  await new Promise((resolve) => hook.close(resolve))
  await rm(dir, { recursive: true, force: true })
})

async function look(): Promise<DeadManReport & { code: number | null }> {
  const { code, stdout, stderr } = await lazarusProcess(['dead-man', '--json'], pit.environment)
  if (stdout === '') throw new Error(stderr)
  return { code, ...JSON.parse(stdout) }
}

/** Looks again and again, as a timer would, until one shows this. */
async function lookUntil(status: DeadManReport['status']): Promise<Awaited<ReturnType<typeof look>>> {
  for (;;) {
    const report = await look()
    if (report.status === status) return report
    if (report.silent_s > AFTER) throw new Error(`the bound is over: ${JSON.stringify(report)}`)
  }
}

const lines = async (name: string): Promise<string[]> =>
  (await readFile(join(dir, name), 'utf8').catch(() => '')).split('\n').filter(Boolean)

const heard = async () => ({
  command: (await lines('command')).map((line) => line.split(' ')[0]),
  webhook: posted.map(({ event }) => event),
  file: (await lines('file')).map((line) => JSON.parse(line).event),
})
const everybody = (...events: DeadManAlert['event'][]) => ({ command: events, webhook: events, file: events })

describe('a pit that is killed', () => {
  test('is missed within the bound, once by every way, and its return is told once', async () => {
    await pit.start()
    expect(await look()).toMatchObject({ code: 0, status: 'alive', deliveries: [], remembered: true })
    const { pid } = pit
    const killed = performance.now()
    await pit.stop('SIGKILL')

    const dead = await lookUntil('dead')
    expect((performance.now() - killed) / 1000).toBeLessThan(AFTER + 2 * PACE)
    expect(dead).toMatchObject({ code: 1, pid, reason: `process ${pid} is gone` })
    expect(dead.silent_s).toBeLessThanOrEqual(AFTER)
    expect(await heard()).toEqual(everybody('pit_dead'))
    expect(posted[0]).toMatchObject({ pid, outage_id: dead.outage?.outage_id, state_dir: pit.stateDir })
    expect(await look()).toMatchObject({ code: 1, status: 'dead', deliveries: [] })

    await pit.start()
    expect(await look()).toMatchObject({ code: 0, status: 'alive' })
    expect(await heard()).toEqual(everybody('pit_dead', 'pit_back'))
    expect(new Set((await lines('command')).map((line) => line.split(' ')[1])).size).toBe(1)
    expect(await look()).toMatchObject({ code: 0, status: 'alive', outage: null, deliveries: [] })
  })

  test('somebody who could not be told is told at a later look, and nobody twice', async () => {
    await pit.start()
    await look()
    hookAnswers = 503
    await pit.stop('SIGKILL')
    const dead = await lookUntil('dead')
    expect(dead.deliveries).toContainEqual({
      event: 'pit_dead',
      way: 'webhook',
      error: expect.stringContaining('answered 503'),
    })
    hookAnswers = 200
    await look()
    await look()
    expect(await heard()).toEqual(everybody('pit_dead'))
  })

  test('two looks at once tell everybody once', async () => {
    await pit.start()
    await look()
    await pit.stop('SIGKILL')
    let both: DeadManReport[] = []
    while (!both.some(({ status }) => status === 'dead')) both = await Promise.all([look(), look()])
    expect(await heard()).toEqual(everybody('pit_dead'))
  })
})

test('a pit that hangs is as dead as one that is gone', async () => {
  await pit.start()
  await look()
  process.kill(pit.pid, 'SIGSTOP')
  try {
    const dead = await lookUntil('dead')
    expect(dead.reason).toBe(`process ${pit.pid} is stopped by a signal: no answer within ${AFTER / 5} s`)
    expect(await heard()).toEqual(everybody('pit_dead'))
  } finally {
    process.kill(pit.pid, 'SIGCONT')
  }
  await lookUntil('alive')
  expect(await heard()).toEqual(everybody('pit_dead', 'pit_back'))
})

test('a pit that was stopped is not missed; one that was to come up and did not is', async () => {
  await pit.start()
  await look()
  await pit.stop('SIGTERM')
  const stopped = await look()
  expect(stopped).toMatchObject({ code: 0, status: 'stopped', outage: null })
  expect(stopped.reason).toMatch(/^the pit was stopped at .* by operator$/)
  const bound = performance.now() + AFTER * 1000
  while (performance.now() < bound) expect(await look()).toMatchObject({ code: 0, status: 'stopped', outage: null })

  const failing = await lazarusProcess(['serve', '--listen', '203.0.113.1:1'], pit.environment)
  expect(failing.code).not.toBe(0)
  expect((await lookUntil('dead')).reason).toMatch(/^no pit has come up: No pit listens on/)
  expect(await heard()).toEqual(everybody('pit_dead'))
})

test('in words', async () => {
  const { code, stdout } = await lazarusProcess(['dead-man'], pit.environment)
  expect(code).toBe(0)
  expect(stdout).toMatch(/^silent, silent for 0 ms of \d+ s: no pit has come up/)
})
