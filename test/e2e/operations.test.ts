import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lazarusProcess } from '../support/lazarus-process.ts'
import { PACE } from '../support/pace.ts'
import { PitProcess } from '../support/pit-process.ts'

/** Without a container runtime: it starts and ends quickly, and nothing here is about containers. */
let pit: PitProcess
beforeAll(async () => {
  pit = await PitProcess.create({ DOCKER_HOST: 'unix:///nonexistent/podman.sock' })
})
afterAll(() => pit?.[Symbol.asyncDispose]())

const seatOf = async (level: string, fields: object = {}) => {
  const { body: mission } = await pit.call('POST', '/v1/missions', { mission_name: level, isolation_level: level })
  const path = `/v1/missions/${mission.mission_id}/seats`
  const { body: seat } = await pit.call('POST', path, { agent_id: 'a', ...fields })
  expect(seat.error ?? undefined).toBeUndefined()
  return { mission, seat, path: `${path}/a` }
}

const status = (...args: string[]) => lazarusProcess(['status', ...args], pit.environment)
const record = async () => JSON.parse(await readFile(join(pit.stateDir, 'pit.json'), 'utf8'))

describe('the life of a pit, as those outside see it', () => {
  test('before the first one: status says so, exit code 1', async () => {
    const { code, stdout, stderr } = await status()
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^error: No pit listens on \S+api\.sock \(pit_not_running\)\nremedy: .*lazarus serve/)
  })

  test('a wrong configuration: no pit starts, exit code 2, and the key is named', async () => {
    await pit.configure({ poll_interval: 'often' })
    const { code, stderr } = await lazarusProcess(['serve', '--json'], pit.environment)
    expect(code).toBe(2)
    expect(JSON.parse(stderr).error).toMatchObject({
      code: 'invalid_request',
      message: `The configuration ${join(pit.stateDir, 'config.json')} is wrong: poll_interval: expected number, received "often"`,
    })
  })

  test('--create-config, in the spelling of the original: written once, and a pit starts with it', async () => {
    const path = join(pit.stateDir, 'config.json')
    expect((await lazarusProcess(['--create-config'], pit.environment)).code).toBe(4)
    const { stdout } = await lazarusProcess(['serve', '--create-config', '--force', '--json'], pit.environment)
    expect(JSON.parse(stdout)).toEqual({ path, replaced: true })
    await pit.configure({ ...JSON.parse(await readFile(path, 'utf8')), auto_revive: 'ask', max_retries: 7 })
  })

  test('while it runs: the process, what it holds, what its levels can', async () => {
    await pit.start()
    expect(await record()).toMatchObject({ pid: pit.pid, url: pit.url, version: expect.any(String) })
    expect(existsSync(join(pit.stateDir, 'stopped.json'))).toBe(false)
    const { mission } = await seatOf('level_1')
    expect(mission.policies).toMatchObject({ auto_revive: 'ask', max_retries: 7 })
    const { code, stdout } = await status('--json')
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      pid: pit.pid,
      url: pit.url,
      socket: join(pit.stateDir, 'api.sock'),
      state_dir: pit.stateDir,
      recovered: true,
      missions: { active: 1 },
      seats: { active: 1 },
      revivals: { waiting: 0, awaiting_approval: 0 },
    })
    expect(JSON.parse(stdout).levels).toContainEqual(expect.objectContaining({ level: 'level_1' }))
    const words = (await lazarusProcess(['--status'], pit.environment)).stdout
    expect(words).toContain(`running, pid ${pit.pid}`)
    expect(words).toContain('seats          1 active')
  })

  test('in a cell: status tells of the seat, and nothing of the pit', async () => {
    const { mission, seat } = await seatOf('level_1')
    const inside = { PATH: process.env.PATH, LAZARUS_TOKEN: seat.token }
    const { code, stdout } = await lazarusProcess(['status', '--url', pit.url], inside)
    expect(code).toBe(0)
    expect(stdout).toContain(`seat          a of mission ${mission.mission_id}`)
    expect(stdout).not.toContain(String(pit.pid))
  })

  test('a second pit that refuses leaves the first one’s record', async () => {
    const before = await record()
    expect((await lazarusProcess(['serve'], pit.environment)).code).toBe(4)
    expect(await record()).toEqual(before)
    expect((await status()).code).toBe(0)
  })

  test('one that hangs: status does not wait for it', async () => {
    process.kill(pit.pid, 'SIGSTOP')
    try {
      expect(await status()).toMatchObject({ code: 1, stderr: expect.stringContaining('did not answer within 10 s') })
    } finally {
      process.kill(pit.pid, 'SIGCONT')
    }
  })

  test('stopped: its record is gone, a word of the stop is there until the next one starts', async () => {
    await pit.stop('SIGTERM')
    expect(existsSync(join(pit.stateDir, 'pit.json'))).toBe(false)
    expect(JSON.parse(await readFile(join(pit.stateDir, 'stopped.json'), 'utf8'))).toMatchObject({ by: 'operator' })
    expect(await status()).toMatchObject({ code: 1, stderr: expect.stringMatching(/: the last one was stopped at 2/) })
    await pit.start()
    expect(existsSync(join(pit.stateDir, 'stopped.json'))).toBe(false)
  })

  test('killed: its record is stale, and recognised as that', async () => {
    await pit.stop('SIGKILL')
    expect((await record()).pid).toBe(pit.pid)
    expect(await status()).toMatchObject({ code: 1, stderr: expect.stringContaining(`process ${pit.pid}, died`) })
    await pit.start()
    expect((await record()).pid).toBe(pit.pid)
  })
})

describe('SIGTERM ends the pit within five seconds', () => {
  async function stopTook(): Promise<number> {
    const began = performance.now()
    expect(await pit.stop('SIGTERM')).toBe(0)
    return (performance.now() - began) / PACE
  }

  test('with streams open whose clients read nothing, an exec under way, and half a request on the line', async () => {
    const { path } = await seatOf('level_2', { command: TALKS })
    await stalled('GET', '/v1/events?follow=true', 'text/event-stream')
    await stalled('GET', `${path}/logs?follow=true`, '*/*')
    await stalled('POST', `${path}/exec`, 'application/x-ndjson', { command: TALKS })
    const line = connect(Number(new URL(pit.url).port), '127.0.0.1')
    line.on('error', () => {})
    await new Promise((resolve) => line.write('POST /v1/missions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Len', resolve))
    expect(await stopTook()).toBeLessThan(5000)
    line.destroy()
    await pit.start()
    expect((await pit.call('GET', path)).body.status).toBe('active')
  })
})

const TALKS = ['sh', '-c', 'while :; do echo talk; done']

/** A call whose answer begins and is then not read. */
function stalled(method: string, path: string, accept: string, body?: object): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = request(`${pit.url}${path}`, {
      method,
      agent: false,
      headers: {
        accept,
        authorization: `Bearer ${pit.token}`,
        ...(body && { 'content-type': 'application/json' }),
      },
    })
    call.on('response', (response) => {
      response.on('error', () => {})
      response.pause()
      resolve()
    })
    call.on('error', reject)
    call.end(body && JSON.stringify(body))
  })
}
