import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PACE } from '../support/pace.ts'
import { type Answer, PitProcess } from '../support/pit-process.ts'

/** A hundred agents die in the same moment: all come back, a few at a time, and nobody's mission waits for another's. */
const LARGE = 90
const SMALL = 10
const AT_ONCE = 4

let pit: PitProcess
beforeAll(async () => {
  pit = await PitProcess.create()
  await pit.configure({ revivals_at_once: AT_ONCE })
  await pit.start()
})
afterAll(() => pit?.[Symbol.asyncDispose]())

async function seats(count: number): Promise<string> {
  const request = { mission_name: `${count} seats`, isolation_level: 'level_2', max_agents: count }
  const { body } = await pit.call('POST', '/v1/missions', request)
  const path = `/v1/missions/${body.mission_id}/seats`
  const waiting = Array.from({ length: count }, (_, i) => `agent-${i}`)
  const worker = async () => {
    for (let agent_id = waiting.shift(); agent_id; agent_id = waiting.shift()) {
      const command = ['sh', '-c', 'echo "$LAZARUS_GENERATION" >>/workspace/lives; exec sleep infinity']
      const added = await pit.call('POST', path, { agent_id, command })
      expect(added.status, JSON.stringify(added.body)).toBe(201)
    }
  }
  await Promise.all(Array.from({ length: 4 }, worker))
  return body.mission_id
}

async function events(types: string, after = 0): Promise<readonly Answer['body'][]> {
  const { body } = await pit.call('GET', `/v1/events?types=${types}&after=${after}&limit=1000`)
  return body.events
}

/** Resolves when so many starts were recorded after that event; the stream costs the pit less than asking again. */
async function spawned(after: number, count: number): Promise<void> {
  const stream = await fetch(`${pit.url}/v1/events?follow=true&types=seat_spawned&after=${after}`, {
    headers: { authorization: `Bearer ${pit.token}`, accept: 'text/event-stream' },
    signal: AbortSignal.timeout(120_000 * PACE),
  })
  let seen = 0
  for await (const text of stream.body!.pipeThrough(new TextDecoderStream())) {
    seen += text.split('\nid: ').length - 1 + (text.startsWith('id: ') ? 1 : 0)
    if (seen >= count) return
  }
}

/** Seconds of a core that the pit has used. */
async function cpu(): Promise<number> {
  const fields = (await readFile(`/proc/${pit.pid}/stat`, 'utf8')).split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

test('level_2: a hundred agents that are killed at once are all revived, few at a time, the small mission with the large', async () => {
  const [large, small] = [await seats(LARGE), await seats(SMALL)]
  const alive = await events('seat_spawned')
  expect(alive).toHaveLength(LARGE + SMALL)
  const newest = alive.at(-1)!.seq
  const before = await cpu()
  const began = performance.now()
  for (const { data } of alive) process.kill(data.handle.agent_pid, 'SIGKILL')
  await spawned(newest, LARGE + SMALL)
  const took = performance.now() - began
  const used = (await cpu()) - before
  console.log(`${LARGE + SMALL} killed and revived in ${Math.round(took)} ms, ${used.toFixed(1)} s of CPU of the pit`)
  expect(used, 'seconds of CPU').toBeLessThan(15 * PACE)

  const lives = await events('spawn_started,seat_spawned', newest)
  expect(lives).toHaveLength(2 * (LARGE + SMALL))
  let atWork = 0
  for (const { type } of lives) {
    atWork += type === 'spawn_started' ? 1 : -1
    expect(atWork).toBeLessThanOrEqual(AT_ONCE)
  }
  const order = lives.filter(({ type }) => type === 'spawn_started').map(({ mission_id }) => mission_id)
  expect(order.lastIndexOf(small), 'the last of the small mission').toBeLessThan(SMALL * 3 + AT_ONCE)

  const script = ['sh', '-c', 'cat /workspace/lives']
  const { body } = await pit.call('POST', `/v1/missions/${large}/seats/agent-7/exec`, { command: script })
  expect(body.stdout).toBe('1\n2\n')
  const { body: told } = await pit.call('GET', `/v1/incidents?mission_id=${large}`)
  expect(told.incidents.map(({ outcome }: { outcome: string }) => outcome)).toEqual(Array(LARGE).fill('revived'))
}, 240_000)
