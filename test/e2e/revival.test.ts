import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Answer } from '../support/pit-process.ts'
import { PitProcess } from '../support/pit-process.ts'
import { makeRepository } from '../support/repository.ts'

/** An agent dies and comes back into the same cell, with its work, as the next generation. */
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

/** Begins with a file and says how it was started; the same words come again only when it is started again. */
const AGENT = [
  'sh',
  '-c',
  'echo "begun $LAZARUS_GENERATION ${LAZARUS_RESUMED_FROM:-new}"; echo work >/workspace/work; echo note >$HOME/note; sleep 600',
]
const RESUMES = [
  'sh',
  '-c',
  'echo "resumed $LAZARUS_GENERATION $LAZARUS_RESUMED_FROM $(cat /workspace/work $HOME/note | tr "\\n" " ")"; sleep 600',
]

interface Cell {
  readonly mission: string
  readonly seat: string
  read(): Promise<Answer['body']>
  exec(script: string): Promise<Answer['body']>
  kill(): Promise<void>
  until(holds: (seat: Answer['body']) => boolean): Promise<Answer['body']>
  logged(line: RegExp): Promise<void>
}

async function open(level: string, policies: object = {}, seat: object = {}): Promise<Cell> {
  const request = { mission_name: level, isolation_level: level, repo: repository.path, policies }
  const { body: mission } = await pit.call('POST', '/v1/missions', request)
  const at = `/v1/missions/${mission.mission_id}`
  const path = `${at}/seats/phoenix`
  const added = await pit.call('POST', `${at}/seats`, { agent_id: 'phoenix', command: AGENT, ...seat })
  expect(added.status, JSON.stringify(added.body)).toBe(201)
  const cell: Cell = {
    mission: at,
    seat: path,
    read: async () => (await pit.call('GET', path)).body,
    exec: async (script) => (await pit.call('POST', `${path}/exec`, { command: ['sh', '-c', script] })).body,
    kill: async () => void (await pit.call('POST', `${path}/kill`, {})),
    until: (holds) => pit.until(path, holds),
    logged: async (line) => {
      const abort = AbortSignal.timeout(20_000)
      const stream = await fetch(`${pit.url}${path}/logs?follow=true`, {
        headers: { authorization: `Bearer ${pit.token}` },
        signal: abort,
      })
      let text = ''
      for await (const chunk of stream.body!) {
        text += Buffer.from(chunk).toString()
        if (line.test(text)) return
      }
      throw new Error(`the log ended without ${line}:\n${text}`)
    },
  }
  await cell.logged(/begun 1 new\n/)
  return cell
}

const LEVELS = ['level_1', 'level_2', 'level_3']

describe.each(LEVELS)('%s: an agent that is killed', (level) => {
  test('is back at once in the next generation, resumes, has its work, and the old token is dead', async () => {
    const cell = await open(level, {}, { resume_command: RESUMES })
    const [first] = (await pit.call('GET', `${cell.mission}/seats`)).body.seats
    await cell.kill()
    const seat = await cell.until((now) => now.generation === 2 && now.status === 'active')
    expect(seat).toMatchObject({ resumed_from: 'live', exit: null, branch: first.branch })
    await cell.logged(/resumed 2 live work note/)
    const { body } = await pit.call('GET', `/v1/incidents?mission_id=${cell.mission.split('/').at(-1)}`)
    expect(body.incidents).toHaveLength(1)
    expect(body.incidents[0]).toMatchObject({
      generation: 1,
      cause: 'signal',
      signal: 'SIGKILL',
      outcome: 'revived',
      resumed_from: 'live',
      work_lost_ms: 0,
    })
    expect(body.incidents[0].time_to_revive_ms).toBeLessThan(5000)
    expect((await pit.call('DELETE', `${cell.mission}?force=true`)).status).toBe(200)
  })

  test('is quarantined when it used up its retries, says why, and comes back by hand', async () => {
    const cell = await open(level, { max_retries: 1 })
    await cell.kill()
    await cell.until((now) => now.generation === 2 && now.status === 'active')
    await cell.kill()
    const seat = await cell.until((now) => now.status === 'quarantined')
    expect(seat.quarantine).toContain('1 of 1 revivals')
    expect((await pit.call('POST', `${cell.seat}/exec`, { command: ['true'] })).body.error.code).toBe(
      'agent_quarantined',
    )
    const revived = await pit.call('POST', `${cell.seat}/revive`, {})
    expect(revived.body).toMatchObject({ status: 'active', generation: 3, quarantine: null })
    expect(revived.body.revive_ms).toBeGreaterThan(0)
    expect((await pit.call('GET', cell.seat, undefined, revived.body.token)).status).toBe(200)
    expect((await cell.exec('cat /workspace/work')).stdout).toBe('work\n')
    expect((await pit.call('DELETE', `${cell.mission}?force=true`)).status).toBe(200)
  })
})

describe('the policy', () => {
  test('no: the dead stay dead', async () => {
    const cell = await open('level_2', { auto_revive: 'no' })
    await cell.kill()
    expect(await cell.until((now) => now.status === 'dead')).toMatchObject({ generation: 1 })
    expect((await pit.call('GET', '/v1/revivals')).body.revivals).toEqual([])
    expect((await pit.call('POST', `${cell.seat}/revive`, {})).body).toMatchObject({ generation: 2, status: 'active' })
  })

  test('ask: waits for a human, who approves or declines', async () => {
    const cell = await open('level_2', { auto_revive: 'ask' })
    await cell.kill()
    await cell.until((now) => now.status === 'awaiting_approval')
    const [first] = (await pit.call('GET', '/v1/revivals')).body.revivals
    expect(first).toMatchObject({ agent_id: 'phoenix', approval: 'needed', attempt: 1, cause: 'signal' })
    expect((await pit.call('POST', `/v1/revivals/${first.revival_id}/approve`)).status).toBe(200)
    await cell.until((now) => now.generation === 2 && now.status === 'active')

    await cell.kill()
    await cell.until((now) => now.status === 'awaiting_approval')
    const [second] = (await pit.call('GET', '/v1/revivals')).body.revivals
    const declined = await pit.call('POST', `/v1/revivals/${second.revival_id}/decline`)
    expect(declined.body).toMatchObject({ status: 'released', generation: 2 })
    expect((await pit.call('POST', `/v1/revivals/${second.revival_id}/approve`)).body.error.code).toBe(
      'revival_not_found',
    )
  })

  test('ask: nobody answers within revive_timeout', async () => {
    const cell = await open('level_2', { auto_revive: 'ask', revive_timeout: 0.2 })
    await cell.kill()
    expect((await cell.until((now) => now.status === 'quarantined')).quarantine).toContain('nobody approved')
  })

  test('a clean exit is an end, unless the policy says restart or complete', async () => {
    const once = { command: ['sh', '-c', 'echo "begun $LAZARUS_GENERATION new"; sleep 0.1'] }
    const idle = await open('level_2', {}, once)
    expect(await idle.until((now) => now.status === 'dead')).toMatchObject({ generation: 1, exit: { code: 0 } })
    const restarted = await open('level_2', { on_success: 'restart', max_retries: 1 }, once)
    expect(await restarted.until((now) => now.status === 'quarantined')).toMatchObject({ generation: 2 })
    const completed = await open('level_2', { on_success: 'complete' }, once)
    await pit.until(completed.mission, (now) => now.status === 'completed')
  })

  test('a crash loop is slowed down, then quarantined', async () => {
    const crash = { command: ['sh', '-c', 'echo "begun $LAZARUS_GENERATION new"; exit 3'] }
    const cell = await open('level_2', { max_retries: 2 }, crash)
    const seat = await cell.until((now) => now.status === 'quarantined')
    expect(seat).toMatchObject({ generation: 3, exit: { cause: 'exit', code: 3 } })
    const { body } = await pit.call('GET', `/v1/incidents?mission_id=${seat.mission_id}`)
    const [last, second, first] = body.incidents
    expect(last.outcome).toBe('quarantined')
    expect(first.time_to_revive_ms).toBeLessThan(second.time_to_revive_ms)
    expect(second.time_to_revive_ms).toBeGreaterThanOrEqual(1000)
  })

  test('substitutes take the place in order, with the work', async () => {
    const cell = await open('level_2', { max_retries: 0, substitute_agents: ['second', 'third'] })
    await cell.kill()
    const second = await pit.until(`${cell.mission}/seats/second`, (now) => now.status === 'active')
    expect(second).toMatchObject({ generation: 2, branch: 'mission/second' })
    expect(await cell.read()).toMatchObject({ status: 'released' })
    const { body } = await pit.call('POST', `${cell.mission}/seats/second/exec`, {
      command: ['sh', '-c', 'cat /workspace/work; git -C /workspace branch --show-current; echo $LAZARUS_AGENT_ID'],
    })
    expect(body.stdout).toBe('work\nmission/second\nsecond\n')
  })
})
