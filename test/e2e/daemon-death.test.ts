import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PitProcess } from '../support/pit-process.ts'
import { makeRepository } from '../support/repository.ts'
import { ROOT } from '../support/source-tree.ts'

/** Cells go on without the pit, and the next one adopts them: nothing is spawned twice, nothing is lost. */
let pit: PitProcess
let repository: Awaited<ReturnType<typeof makeRepository>>
beforeAll(async () => {
  pit = await PitProcess.start()
  repository = await makeRepository()
})
afterAll(async () => {
  await pit?.[Symbol.asyncDispose]()
  await repository?.[Symbol.asyncDispose]()
})

/** Works until it is told to stop. */
const STAYS = [
  'sh',
  '-c',
  'echo begun; n=0; while [ ! -e /workspace/stop ]; do n=$((n+1)); echo "tick $n"; sleep 0.05; done; echo ended; exit 5',
]
/** Ends by itself as soon as nobody answers on its socket: while no pit runs. */
const ENDS = [
  'sh',
  '-c',
  'while curl -sS -o /dev/null --unix-socket /run/lazarus/cell.sock http://pit/healthz; do sleep 0.05; done; echo ended; exit 5',
]

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error('it did not come about within 20 s')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe.each(['level_1', 'level_2', 'level_3'])('the pit dies over %s', (level) => {
  test('a living agent is adopted with its log; one that ended meanwhile is recorded with its cause', async () => {
    const { body: mission } = await pit.call('POST', '/v1/missions', {
      mission_name: level,
      isolation_level: level,
      repo: repository.path,
      policies: { auto_revive: 'no' },
    })
    const seats = `/v1/missions/${mission.mission_id}/seats`
    for (const [agent_id, command] of [
      ['stays', STAYS],
      ['ends', ENDS],
    ]) {
      const { body } = await pit.call('POST', seats, { agent_id, command })
      expect(body.error ?? undefined).toBeUndefined()
    }
    const before = (await pit.call('GET', `${seats}/stays`)).body
    await pit.stop('SIGKILL')

    // Its sandbox ends without any daemon to notice: the end of its log is what the test can see.
    await until(async () => (await readFile(join(mission.directory, 'logs', 'ends.log'), 'utf8')).includes('ended'))
    await pit.start()

    const dead = await pit.until(`${seats}/ends`, (seat) => seat.status === 'dead')
    expect(dead.exit).toMatchObject({ cause: 'exit', code: 5 })
    expect((await pit.call('GET', `${seats}/ends/logs?tail=1`)).body).toBe('ended\n')

    const after = (await pit.call('GET', `${seats}/stays`)).body
    expect(after).toMatchObject({ status: 'active', generation: before.generation, spawned_at: before.spawned_at })
    const ticks = async () =>
      (await pit.call('GET', `${seats}/stays/logs`)).body.split('\n').filter((line: string) => line.startsWith('tick'))
        .length
    const first = await ticks()
    await pit.call('POST', `${seats}/stays/exec`, { command: ['sh', '-c', 'sleep 0.3'] })
    expect(await ticks()).toBeGreaterThan(first)
    expect(
      (await pit.call('GET', `${seats}/stays/logs`)).body.split('\n').filter((line: string) => line === 'begun'),
    ).toHaveLength(1)

    const self = await pit.call('POST', `${seats}/stays/exec`, {
      command: ['curl', '-sS', '--unix-socket', '/run/lazarus/cell.sock', 'http://pit/v1/self'],
    })
    expect(JSON.parse(self.body.stdout)).toMatchObject({ agent_id: 'stays' })

    await pit.call('POST', `${seats}/stays/exec`, { command: ['touch', '/workspace/stop'] })
    const ended = await pit.until(`${seats}/stays`, (seat) => seat.status === 'dead')
    expect(ended.exit).toMatchObject({ cause: 'exit', code: 5 })
    expect((await pit.call('DELETE', `/v1/missions/${mission.mission_id}?force=true`)).body).toMatchObject({
      status: 'destroyed',
    })
  })
})

test('a second pit on the same state directory refuses and names the first', async () => {
  const second = spawn(process.execPath, [join(ROOT, 'src/main/cli.ts'), 'serve', '--json'], { env: pit.environment })
  let output = ''
  second.stdout.on('data', (data) => (output += data))
  second.stderr.on('data', (data) => (output += data))
  const code = await new Promise((resolve) => second.once('exit', resolve))
  expect(code).toBe(4)
  expect(output).toContain('pit_already_running')
  expect(output).toContain(String(pit.pid))
  expect((await pit.call('GET', '/healthz')).status).toBe(200)
})

test('the stale socket of a killed pit is replaced', async () => {
  await pit.stop('SIGKILL')
  await pit.start()
  expect(JSON.parse(await readFile(join(pit.stateDir, 'pit.json'), 'utf8'))).toMatchObject({
    pid: pit.pid,
    url: pit.url,
  })
  expect((await pit.call('GET', '/healthz')).status).toBe(200)
})
