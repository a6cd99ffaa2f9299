import { afterAll, beforeAll, expect, test } from 'vitest'
import { PitProcess } from '../support/pit-process.ts'

let pit: PitProcess
beforeAll(async () => {
  pit = await PitProcess.start()
})
afterAll(() => pit?.[Symbol.asyncDispose]())

/** An open stream of a seat, by its token over TCP. */
async function openStream(path: string, token: string) {
  const response = await fetch(`${pit.url}${path}`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(20_000),
  })
  expect(response.status).toBe(200)
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  return {
    async until(text: string): Promise<void> {
      for (let seen = ''; !seen.includes(text); ) {
        const { done, value } = await reader.read()
        if (done) throw new Error(`the stream ended before "${text}"`)
        seen += value
      }
    },
    /** Cut, or ended in peace: which of both depends on whether something was being written. */
    async ended(): Promise<boolean> {
      const closed = (error: { cause?: { code?: string } }) => ({ done: error.cause?.code === 'UND_ERR_SOCKET' })
      for (;;) if ((await reader.read().catch(closed)).done) return true
    },
  }
}

const STAYS = ['sh', '-c', 'echo begun; exec sleep infinity']

async function seatIn(mission_id: string, agent_id: string): Promise<string> {
  const { body } = await pit.call('POST', `/v1/missions/${mission_id}/seats`, {
    agent_id,
    role: 'write',
    command: STAYS,
  })
  return body.token
}

test('level_1: what a token opened over TCP ends with it: withdrawn, or revived by hand with another', async () => {
  const { body } = await pit.call('POST', '/v1/missions', {
    mission_name: 'tokens',
    isolation_level: 'level_1',
    policies: { auto_revive: 'no' },
  })
  const mission = `/v1/missions/${body.mission_id}`
  const events = `/v1/events?follow=true&mission_id=${body.mission_id}`
  const [withdrawn, revived, kept] = await Promise.all(
    ['withdrawn', 'revived', 'kept'].map((agent_id) => seatIn(body.mission_id, agent_id)),
  )
  const ofWithdrawn = await openStream(events, withdrawn!)
  const logs = await openStream(`${mission}/seats/withdrawn/logs?follow=true`, withdrawn!)
  const ofRevived = await openStream(events, revived!)
  const ofKept = await openStream(events, kept!)
  await logs.until('begun')

  expect((await pit.call('DELETE', `${mission}/seats/withdrawn?force=true`)).status).toBe(200)
  expect(await ofWithdrawn.ended()).toBe(true)
  expect(await logs.ended()).toBe(true)
  expect((await pit.call('GET', events, undefined, withdrawn)).status).toBe(401)

  await pit.call('POST', `${mission}/seats/revived/kill`, { signal: 'SIGKILL' })
  await ofRevived.until('seat_exited')
  const next = await pit.call('POST', `${mission}/seats/revived/revive`, {})
  expect(next.body).toMatchObject({ generation: 2, token: expect.any(String) })
  expect(await ofRevived.ended()).toBe(true)

  await ofKept.until('seat_withdrawn')
  await pit.call('POST', `${mission}/seats/kept/kill`, { signal: 'SIGKILL' })
  await ofKept.until('"agent_id":"kept","type":"seat_exited"')
})
