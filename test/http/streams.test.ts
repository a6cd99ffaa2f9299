import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import type { OnExecOutput } from '../../src/app/application.ts'
import { execFrame } from '../../src/contract/seat.ts'
import { LazarusError } from '../../src/kernel/errors.ts'
import { applicationOf, eventOf, MISSION, OPERATOR, open, raise, type Sent, seatOf, send } from './stage.ts'

const EXEC = `/v1/missions/${MISSION}/seats/builder/exec`
const END = { exit_code: 3, signal: null, timed_out: false, duration_ms: 12 }
const streamed: Sent = {
  method: 'POST',
  headers: { ...OPERATOR, accept: 'application/x-ndjson' },
  body: { command: ['true'] },
}
const bytes = (text: string) => Buffer.from(text)

/** A promise that a test settles. */
function gate<T = void>() {
  return Promise.withResolvers<T>()
}

type ExecStream = (output: OnExecOutput, abort: AbortSignal) => Promise<typeof END>
const withExec = (exec: ExecStream) =>
  raise(
    applicationOf([seatOf('builder')], {
      execStream: (_mission, _agent, _request, output, abort) => exec(output, abort),
    }),
  )

const framesOf = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

describe('exec as NDJSON', () => {
  test('frames as they come, then the result; each line fits the schema', async () => {
    await using stage = await withExec(async (output) => {
      await output('stdout', bytes('one\n'))
      await output('stderr', bytes('two\n'))
      return END
    })
    const answer = await send(stage.at, EXEC, streamed)
    expect(answer.headers['content-type']).toBe('application/x-ndjson')
    const frames = framesOf(answer.text)
    expect(frames).toEqual([{ stream: 'stdout', data: 'one\n' }, { stream: 'stderr', data: 'two\n' }, END])
    for (const frame of frames) execFrame.parse(frame)
  })

  test('a character cut between chunks is put together per stream; a broken one at the end shows', async () => {
    const [a, b] = [bytes('é').subarray(0, 1), bytes('é').subarray(1)]
    await using stage = await withExec(async (output) => {
      await output('stdout', a)
      await output('stderr', a)
      await output('stdout', b)
      return END
    })
    const frames = framesOf((await send(stage.at, EXEC, streamed)).text)
    expect(frames).toEqual([{ stream: 'stdout', data: 'é' }, { stream: 'stderr', data: '\ufffd' }, END])
  })

  test('without the Accept header it is one whole answer', async () => {
    const result = { ...END, stdout: 'x', stderr: '', truncated: false }
    await using stage = await raise(applicationOf([seatOf('builder')], { execWhole: async () => result }))
    expect((await send(stage.at, EXEC, { ...streamed, headers: OPERATOR })).json).toEqual(result)
  })

  test('an error that is known at once has its own status', async () => {
    await using stage = await withExec(async () => {
      throw new LazarusError('seat_not_found', 'no such seat')
    })
    const answer = await send(stage.at, EXEC, streamed)
    expect([answer.status, answer.json.error.code]).toEqual([404, 'seat_not_found'])
    expect(answer.headers['x-request-id']).toBeTruthy()
  })

  test('an error after the start is the last frame, and internals stay inside', async () => {
    for (const [error, code] of [
      [new LazarusError('runtime_failed', 'it broke'), 'runtime_failed'],
      [new Error('secret'), 'internal'],
    ] as const) {
      await using stage = await withExec(async (output) => {
        await output('stdout', bytes('so far'))
        throw error
      })
      const answer = await send(stage.at, EXEC, streamed)
      expect(answer.status).toBe(200)
      expect(framesOf(answer.text)).toMatchObject([{ stream: 'stdout', data: 'so far' }, { error: { code } }])
      expect(answer.text).not.toContain('secret')
    }
  })

  test('a silent command: the head comes at once, and a client that leaves aborts it', async () => {
    const aborted = gate()
    await using stage = await withExec(async (_output, abort) => {
      await once(abort, 'abort')
      aborted.resolve()
      return END
    })
    const message = await open(stage.at, EXEC, streamed)
    expect(message.statusCode).toBe(200)
    message.destroy()
    await aborted.promise
  })

  test('a client that reads slowly slows the command', async () => {
    let written = 0
    const stalled = gate()
    await using stage = await withExec(async (output) => {
      const chunk = Buffer.alloc(64 * 1024, 'x')
      for (let i = 0; i < 200; i++) {
        const taken = Promise.resolve(output('stdout', chunk)).then(() => 'taken')
        if ((await Promise.race([taken, pause(300)])) !== 'taken') stalled.resolve()
        await taken
        written += 1
      }
      return END
    })
    const message = await open(stage.at, EXEC, streamed)
    await stalled.promise
    expect(written).toBeLessThan(190)
    const frames = framesOf(await textOf(message))
    expect(frames.length).toBe(201)
    expect(frames.at(-1)).toEqual(END)
  })

  test('closing the server ends it with a last frame', async () => {
    await using stage = await withExec(async (output, abort) => {
      await output('stdout', bytes('x'))
      await once(abort, 'abort')
      throw abort.reason
    })
    const message = await open(stage.at, EXEC, streamed)
    const text = textOf(message)
    await stage.close()
    expect(framesOf(await text)).toMatchObject([{ data: 'x' }, { error: { code: 'shutting_down', retryable: true } }])
  })
})

describe('events', () => {
  const events = [eventOf(1), eventOf(2), eventOf(3)]
  const app = applicationOf([], {
    readEvents: ({ after = 0, limit = 1000 }) => events.filter((event) => event.seq > after).slice(0, limit),
    async *followEvents({ after = 0 }, abort) {
      yield* events.filter((event) => event.seq > after)
      if (!abort.aborted) await once(abort, 'abort')
    },
  })

  test('as a list, with where to go on', async () => {
    await using stage = await raise(app)
    const first = await send(stage.at, '/v1/events?limit=2', { headers: OPERATOR })
    expect(first.json).toEqual({ events: events.slice(0, 2), next: '2' })
    expect((await send(stage.at, '/v1/events?after=2', { headers: OPERATOR })).json).toEqual({
      events: [events[2]],
      next: null,
    })
  })

  test.each([
    ['the Accept header', '/v1/events', { accept: 'text/event-stream' }, [1, 2, 3]],
    ['?follow', '/v1/events?follow=true', {}, [1, 2, 3]],
    ['?after', '/v1/events?follow=true&after=1', {}, [2, 3]],
    ['Last-Event-ID, which wins over ?after', '/v1/events?follow=true&after=0', { 'last-event-id': '2' }, [3]],
  ])('as a stream by %s', async (_name, path, headers, expected) => {
    await using stage = await raise(app)
    const message = await open(stage.at, path, { headers: { ...OPERATOR, ...headers } })
    expect(message.headers['content-type']).toBe('text/event-stream')
    const text = await read(message, `id: ${expected.at(-1)}`)
    expect([...text.matchAll(/^id: (\d+)$/gm)].map(([, seq]) => Number(seq))).toEqual(expected)
    const [data] = text.match(/^data: (.*)$/m) ?? []
    expect(JSON.parse(data!.slice(6))).toEqual(events[expected[0]! - 1])
    expect(text).toContain('event: mission_paused\n')
  })

  test('a wrong Last-Event-ID is refused', async () => {
    await using stage = await raise(app)
    expect(
      (await send(stage.at, '/v1/events?follow=true', { headers: { ...OPERATOR, 'last-event-id': 'x' } })).status,
    ).toBe(400)
  })

  test('closing the server ends the stream cleanly', async () => {
    await using stage = await raise(app)
    const message = await open(stage.at, '/v1/events?follow=true', { headers: OPERATOR })
    const text = textOf(message)
    await stage.close()
    expect(await text).toContain('id: 3')
    expect(message.complete).toBe(true)
  })
})

test('logs come as bytes, follow until the client leaves', async () => {
  const left = gate()
  await using stage = await raise(
    applicationOf([seatOf('builder')], {
      async *logs(_mission, _agent, { follow, tail }, abort) {
        yield bytes(`follow=${follow} tail=${tail}\u00ff`)
        if (!follow) return
        await once(abort, 'abort')
        left.resolve()
      },
    }),
  )
  const path = `/v1/missions/${MISSION}/seats/builder/logs`
  const whole = await send(stage.at, `${path}?tail=5`, { headers: OPERATOR })
  expect([whole.headers['content-type'], whole.text]).toEqual(['text/plain; charset=utf-8', 'follow=false tail=5ÿ'])
  const message = await open(stage.at, `${path}?follow=true`, { headers: OPERATOR })
  expect(await read(message, 'tail=null')).toContain('follow=true')
  await left.promise
})

test('a log that breaks in the middle is seen to be cut', async () => {
  await using stage = await raise(
    applicationOf([seatOf('builder')], {
      async *logs() {
        yield bytes('first')
        throw new LazarusError('runtime_failed', 'gone')
      },
    }),
  )
  await expect(send(stage.at, `/v1/missions/${MISSION}/seats/builder/logs`, { headers: OPERATOR })).rejects.toThrow(
    'aborted',
  )
})

test('a diff that was cut says so', async () => {
  for (const truncated of [true, false]) {
    await using stage = await raise(
      applicationOf([seatOf('builder')], { diff: async () => ({ text: bytes('--- a\n'), truncated }) }),
    )
    const { headers, text } = await send(stage.at, `/v1/missions/${MISSION}/seats/builder/diff`, { headers: OPERATOR })
    expect([text, headers['content-type'], headers['x-truncated']]).toEqual([
      '--- a\n',
      'text/x-diff; charset=utf-8',
      truncated ? 'true' : undefined,
    ])
  }
})

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms, 'waited'))

async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** Reads until the text holds what is looked for, then leaves. */
async function read(message: IncomingMessage, wanted: string): Promise<string> {
  let text = ''
  for await (const chunk of message) {
    text += chunk
    if (text.includes(wanted)) break
  }
  return text
}
