import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { BODY_LIMIT, createHttpGateway } from '../../src/gateways/http-gateway.ts'

const clock = { now: () => Date.now(), monotonic: () => performance.now() }
const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port

async function serve(listener: RequestListener): Promise<{ url: string; server: Server }> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${portOf(server)}/health`, server }
}

const never = new AbortController().signal
const ask = (url: string, timeout_ms = 5000, abort = never) => createHttpGateway({ clock, timeout_ms }).ask(url, abort)

test('a gateway that answers: how long it took is measured', async () => {
  const { url } = await serve((request, response) => {
    expect([request.method, request.url]).toEqual(['GET', '/health'])
    setTimeout(() => response.end('{"status":"ok"}'), 50)
  })
  const answer = await ask(url)
  if (!answer.ok) throw new Error(answer.error)
  expect(answer.took_ms).toBeGreaterThanOrEqual(49)
  expect(answer.took_ms).toBeLessThan(5000)
})

test.each([404, 500, 503])('a gateway that answers %d fails', async (status) => {
  const { url } = await serve((_, response) => response.writeHead(status).end('x'.repeat(1_000_000)))
  expect(await ask(url)).toEqual({ ok: false, error: `Answered ${status}` })
})

describe('a redirect', () => {
  test.each([301, 302, 303, 307, 308])('%d is not followed', async (status) => {
    const visited: string[] = []
    const target = await serve((request, response) => {
      visited.push(request.url ?? '')
      response.end('ok')
    })
    expect(await ask(target.url)).toMatchObject({ ok: true })
    expect(visited).toHaveLength(1) // the control: it can be reached
    const { url } = await serve((_, response) => response.writeHead(status, { location: target.url }).end())
    expect(await ask(url)).toEqual({ ok: false, error: `Answered ${status}: redirects are not followed` })
    expect(visited).toHaveLength(1)
  })
})

describe('a gateway that never', () => {
  const silence = /^No answer within 0\.2 s$/

  test('accepts a request', async () => {
    const held = new Set<Socket>()
    const server = createTcpServer((socket) => held.add(socket))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closing.push(() => {
      for (const socket of held) socket.destroy()
      server.close()
    })
    const answer = await ask(`http://127.0.0.1:${portOf(server)}/`, 200)
    expect(answer).toEqual({ ok: false, error: expect.stringMatching(silence) })
  })

  test('answers', async () => {
    const { url } = await serve(() => {})
    expect(await ask(url, 200)).toEqual({ ok: false, error: expect.stringMatching(silence) })
  })

  test('ends its answer, a byte at a time', async () => {
    const { url } = await serve((_, response) => {
      const drip = setInterval(() => response.write('.'), 10)
      response.on('close', () => clearInterval(drip))
    })
    expect(await ask(url, 200)).toEqual({ ok: false, error: expect.stringMatching(silence) })
  })
})

test('a gateway that streams a gigabyte is cut off after 64 KiB', async () => {
  let sent = 0
  let left: Promise<void> | undefined
  const { url } = await serve((_, response) => {
    left = new Promise((resolve) => response.on('close', resolve))
    const pour = () => {
      const block = Buffer.alloc(BODY_LIMIT)
      while (sent < 1024 ** 3 && response.write(block)) sent += block.length
    }
    response.on('drain', pour)
    pour()
  })
  expect(await ask(url)).toEqual({ ok: false, error: `Answered with more than ${BODY_LIMIT} bytes` })
  await left
  // What the socket buffers of the kernel hold, and not a gigabyte.
  expect(sent).toBeLessThan(64 * 1024 ** 2)
})

test('a body of just the limit is an answer', async () => {
  const { url } = await serve((_, response) => response.end(Buffer.alloc(BODY_LIMIT)))
  expect(await ask(url)).toMatchObject({ ok: true })
})

test('a gateway that dies in the middle of its answer fails', async () => {
  const { url } = await serve((_, response: ServerResponse) => {
    response.writeHead(200, { 'content-length': '1000' })
    response.write('half', () => response.destroy())
  })
  expect(await ask(url)).toMatchObject({ ok: false, error: expect.stringMatching(/^No answer: /) })
})

test('a gateway that is not there fails, with the reason and without its address', async () => {
  const { url, server } = await serve(() => {})
  await new Promise((resolve) => server.close(resolve))
  const secret = url.replace('127.0.0.1', 'user:secret@127.0.0.1')
  expect(await ask(secret)).toEqual({ ok: false, error: 'No answer: ECONNREFUSED' })
})

test('a head without end is refused by its size', async () => {
  const { url } = await serve((_, response) => {
    response.socket!.write(`HTTP/1.1 200 OK\r\nx-long: ${'x'.repeat(1_000_000)}`)
  })
  expect(await ask(url)).toMatchObject({ ok: false, error: 'No answer: HPE_HEADER_OVERFLOW' })
})

test('asking ends when the pit does', async () => {
  const stop = new AbortController()
  const { url } = await serve(() => stop.abort())
  expect(await ask(url, 60_000, stop.signal)).toMatchObject({ ok: false })
})
