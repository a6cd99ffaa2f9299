import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { CELL_SOCKET } from '../../src/http/cell-door.ts'
import {
  applicationOf,
  bearer,
  MISSION,
  nameOf,
  OPERATOR,
  raise,
  type Stage,
  seatOf,
  seatToken,
  send,
} from './stage.ts'

const builder = seatOf('builder')

async function connected(stage: Stage): Promise<Socket> {
  const socket = connect(stage.at.port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

async function rest(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  await once(socket, 'close')
  return text
}

test('a seat that asks too often is told when to come back; the operator and other seats are not held up', async () => {
  const other = seatOf('other')
  await using stage = await raise(applicationOf([builder, other]), { limits: { requests_per_second: 2 } })
  const ask = (headers: Record<string, string>) => send(stage.at, '/v1/self', { headers })
  const answers = []
  for (let i = 0; i < 12; i++) answers.push(await ask(bearer(seatToken('builder'))))
  expect(answers.slice(0, 10).map(({ status }) => status)).toEqual(Array(10).fill(200))
  const refused = answers.at(-1)!
  expect([refused.status, refused.json.error.code, refused.json.error.retryable]).toEqual([
    429,
    'too_many_requests',
    true,
  ])
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
  expect((await ask(bearer(seatToken('other')))).status).toBe(200)
  for (let i = 0; i < 12; i++) expect((await send(stage.at, '/v1/missions', { headers: OPERATOR })).status).toBe(200)
})

test('a client that never finishes its head is cut off; one that is quick is served meanwhile', async () => {
  await using stage = await raise(applicationOf([]), { limits: { headers_ms: 200, request_ms: 400 } })
  const slow = await connected(stage)
  slow.write('GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ')
  expect((await send(stage.at, '/healthz')).status).toBe(200)
  expect(await rest(slow)).toContain('408')
})

test('a client that never finishes its body is cut off', async () => {
  await using stage = await raise(applicationOf([]), { limits: { headers_ms: 200, request_ms: 400 } })
  const slow = await connected(stage)
  const head = [
    'POST /v1/missions HTTP/1.1',
    `Host: 127.0.0.1:${stage.at.port}`,
    `Authorization: ${OPERATOR.authorization}`,
    'Content-Type: application/json',
    'Content-Length: 100',
  ]
  slow.write(`${head.join('\r\n')}\r\n\r\n{"mission`)
  expect(await rest(slow)).toContain('408')
})

test('the timeouts of requests do not cut a silent stream', async () => {
  await using stage = await raise(
    applicationOf([builder], {
      async *logs() {
        yield Buffer.from('a')
        // Longer than both limits together and a round of the check, which runs every two seconds.
        await new Promise((resolve) => setTimeout(resolve, 3000))
        yield Buffer.from('b')
      },
    }),
    { limits: { headers_ms: 200, request_ms: 400 } },
  )
  const path = `/v1/missions/${MISSION}/seats/builder/logs`
  await stage.doors.open(nameOf(builder))
  const socketPath = join(stage.state_dir, 'doors', MISSION, 'builder.1', CELL_SOCKET)
  const [tcp, cell] = await Promise.all([
    send(stage.at, path, { headers: OPERATOR }),
    send(stage.at, path, { socketPath }),
  ])
  expect([tcp.text, cell.text]).toEqual(['ab', 'ab'])
})

test.each([
  ['what is no HTTP', 'hello\r\n\r\n'],
  ['a head that is too large', `GET / HTTP/1.1\r\nX-A: ${'a'.repeat(40_000)}\r\n\r\n`],
  ['two lengths', 'POST /v1/missions HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
  [
    'a length and chunks',
    'POST /v1/missions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n'],
])('%s is refused and the connection ends', async (_name, raw) => {
  await using stage = await raise(applicationOf([]))
  const socket = await connected(stage)
  socket.write(raw)
  const answer = await rest(socket)
  expect(answer).toMatch(/^HTTP\/1\.1 (400|431)/)
})

test('close does not wait for idle connections, keeps no port, and may be repeated', async () => {
  await using stage = await raise(applicationOf([builder]))
  const directory = await stage.doors.open(nameOf(builder))
  const idle = await Promise.all([
    connected(stage),
    ...[stage.at.socket, join(directory, CELL_SOCKET)].map(connectedTo),
  ])
  const ended = Promise.all(idle.map((socket) => once(socket, 'close')))
  const began = performance.now()
  await stage.close()
  await stage.close()
  await ended
  expect(performance.now() - began).toBeLessThan(2000)
  await expect(send(stage.at, '/healthz')).rejects.toThrow('ECONNREFUSED')
})

async function connectedTo(path: string): Promise<Socket> {
  const socket = connect(path)
  await once(socket, 'connect')
  socket.resume()
  return socket
}

test('a call that is under way at close is answered', async () => {
  const started = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  await using stage = await raise(
    applicationOf([builder], {
      killSeat: async () => {
        started.resolve()
        await goOn.promise
        return builder
      },
    }),
  )
  const answer = send(stage.at, `/v1/missions/${MISSION}/seats/builder/kill`, { method: 'POST', headers: OPERATOR })
  await started.promise
  const closed = stage.close()
  goOn.resolve()
  expect((await answer).status).toBe(200)
  await closed
})

test('a call that never ends is cut off after the time for it', async () => {
  const started = Promise.withResolvers<void>()
  await using stage = await raise(
    applicationOf([builder], {
      killSeat: () => {
        started.resolve()
        return new Promise(() => {})
      },
    }),
    { limits: { close_ms: 100 } },
  )
  const answer = send(stage.at, `/v1/missions/${MISSION}/seats/builder/kill`, { method: 'POST', headers: OPERATOR })
  const cut = expect(answer).rejects.toThrow()
  await started.promise
  await stage.close()
  await cut
})
