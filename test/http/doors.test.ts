import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, open, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer as createNetServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CELL_SOCKET } from '../../src/http/cell-door.ts'
import {
  applicationOf,
  bearer,
  MISSION,
  nameOf,
  OPERATOR,
  OPERATOR_TOKEN,
  raise,
  seatOf,
  seatToken,
  send,
} from './stage.ts'

const builder = seatOf('builder')
const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)

describe('the operator socket', () => {
  test('belongs to the operator alone, and is gone after close', async () => {
    await using stage = await raise(applicationOf([]))
    expect(await modeOf(stage.at.socket)).toBe('600')
    expect(await modeOf(stage.state_dir)).toBe('700')
    expect((await readdir(stage.state_dir)).filter((name) => name !== 'doors')).toEqual(['api.sock'])
    await stage.close()
    await expect(stat(stage.at.socket)).rejects.toThrow('ENOENT')
  })

  test('a stale one of a dead pit is replaced', async () => {
    const parent = await mkdtemp(join(tmpdir(), 'lazarus-stale-'))
    const dead = spawn(process.execPath, [
      '-e',
      'require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))',
      join(parent, 'api.sock'),
    ])
    await once(dead, 'exit')
    expect(await readdir(parent)).toEqual(['api.sock'])
    await using stage = await raise(applicationOf([]), { state_dir: parent })
    expect((await send(stage.at, '/healthz', { socketPath: stage.at.socket })).status).toBe(200)
    await rm(parent, { recursive: true, force: true })
  })

  test('works in a directory whose path is longer than a socket address', async () => {
    const parent = await mkdtemp(join(tmpdir(), 'lazarus-deep-'))
    await using stage = await raise(applicationOf([]), { state_dir: join(parent, 'd'.repeat(150), 'e'.repeat(150)) })
    const directory = await open(stage.state_dir, 'r')
    const socketPath = `/proc/self/fd/${directory.fd}/api.sock`
    expect((await send(stage.at, `/v1/missions/${MISSION}`, { socketPath })).status).toBe(200)
    await directory.close()
    await rm(parent, { recursive: true, force: true })
  })
})

describe('TCP', () => {
  const ask = async (headers: Record<string, string>) => {
    await using stage = await raise(applicationOf([]))
    const { port } = stage.at
    const filled = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replace('PORT', String(port))]),
    )
    return (await send(stage.at, '/v1/missions', { headers: { ...OPERATOR, ...filled } })).json?.error?.code ?? 'passed'
  }

  test.each(['127.0.0.1:PORT', 'localhost:PORT', '[::1]:PORT', 'LOCALHOST:PORT'])(
    'Host %s is this server',
    async (host) => {
      expect(await ask({ host })).toBe('passed')
    },
  )

  test.each([
    'evil.example:PORT',
    'evil.example',
    '127.0.0.1',
    '127.0.0.1:1',
    'localhost:PORT.evil.example',
    '127.0.0.1.nip.io:PORT',
  ])('Host %s is a rebinding attack', async (host) => expect(await ask({ host })).toBe('forbidden'))

  test.each([
    ['http://127.0.0.1:PORT', 'passed'],
    ['http://localhost:PORT', 'forbidden'],
    ['https://127.0.0.1:PORT', 'forbidden'],
    ['http://evil.example', 'forbidden'],
    ['http://127.0.0.1:1', 'forbidden'],
    ['null', 'forbidden'],
  ])('Origin %s on 127.0.0.1 is %s', async (origin, verdict) => {
    expect(await ask({ host: '127.0.0.1:PORT', origin })).toBe(verdict)
  })

  test('public routes are guarded against foreign pages too, and a token in a cookie or query is none', async () => {
    await using stage = await raise(applicationOf([]))
    expect((await send(stage.at, '/healthz', { headers: { host: 'evil.example' } })).status).toBe(403)
    expect((await send(stage.at, '/docs', { headers: { origin: 'http://evil.example' } })).status).toBe(403)
    expect((await send(stage.at, '/v1/missions', { headers: { cookie: `token=${OPERATOR_TOKEN}` } })).status).toBe(401)
    expect((await send(stage.at, `/v1/missions?token=${OPERATOR_TOKEN}`)).status).toBe(401)
  })

  test('a taken port says what to do', async () => {
    const taken = createNetServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const port = (taken.address() as { port: number }).port
    await expect(raise(applicationOf([]), { listen: `127.0.0.1:${port}` })).rejects.toMatchObject({
      code: 'conflict',
      remedy: expect.stringContaining('LAZARUS_LISTEN'),
    })
    taken.close()
  })
})

describe('cell doors', () => {
  test('the socket is the seat: /v1/self, its own mission, and nothing of the operator', async () => {
    await using stage = await raise(applicationOf([builder]))
    const directory = await stage.doors.open(nameOf(builder))
    const socketPath = join(directory, CELL_SOCKET)
    expect((await send(stage.at, '/v1/self', { socketPath })).json).toEqual(builder)
    expect((await send(stage.at, `/v1/missions/${MISSION}`, { socketPath })).status).toBe(200)
    expect((await send(stage.at, '/v1/missions', { socketPath })).status).toBe(403)
    expect((await send(stage.at, '/v1/self', { headers: bearer(seatToken('builder')) })).json).toEqual(builder)
    expect((await send(stage.at, '/v1/self', { headers: OPERATOR })).json.error.code).toBe('seat_not_found')
  })

  test('another uid of the cell can connect; on the host only the operator gets there', async () => {
    await using stage = await raise(applicationOf([builder]))
    const directory = await stage.doors.open(nameOf(builder))
    expect(await modeOf(directory)).toBe('755')
    expect(await modeOf(join(directory, CELL_SOCKET))).toBe('666')
    expect(await modeOf(join(stage.state_dir, 'doors'))).toBe('700')
  })

  test('a generation that is over gets nothing, the next one has a door of its own', async () => {
    const again = seatOf('builder', { generation: 2 })
    await using stage = await raise(applicationOf([again]))
    const old = join(await stage.doors.open(nameOf(builder)), CELL_SOCKET)
    const fresh = join(await stage.doors.open(nameOf(again)), CELL_SOCKET)
    expect((await send(stage.at, '/v1/self', { socketPath: old })).status).toBe(401)
    expect((await send(stage.at, '/v1/self', { socketPath: fresh })).json.generation).toBe(2)
  })

  test('open is repeatable; close ends connections and leaves no directory', async () => {
    await using stage = await raise(applicationOf([builder]))
    const [first, second] = await Promise.all([stage.doors.open(nameOf(builder)), stage.doors.open(nameOf(builder))])
    expect(second).toBe(first)
    const idle = connect(join(first, CELL_SOCKET))
    await new Promise((resolve) => idle.once('connect', resolve))
    const ended = new Promise((resolve) => idle.once('close', resolve))
    await stage.doors.close(nameOf(builder))
    await ended
    await stage.doors.close(nameOf(builder))
    expect(await readdir(join(stage.state_dir, 'doors'))).toEqual([])
  })

  test('a socket that a dead pit left in the directory is replaced, the directory stays the same', async () => {
    await using stage = await raise(applicationOf([builder]))
    const directory = join(stage.state_dir, 'doors', MISSION, 'builder.1')
    await mkdir(directory, { recursive: true })
    const before = (await stat(directory)).ino
    await writeFile(join(directory, CELL_SOCKET), 'stale')
    expect(await stage.doors.open(nameOf(builder))).toBe(directory)
    expect((await stat(directory)).ino).toBe(before)
    expect((await send(stage.at, '/v1/self', { socketPath: join(directory, CELL_SOCKET) })).status).toBe(200)
  })

  test('closing the server leaves the directories of living cells, without their sockets', async () => {
    await using stage = await raise(applicationOf([builder]))
    const directory = await stage.doors.open(nameOf(builder))
    await stage.close()
    expect(await readdir(directory)).toEqual([])
  })

  test('a thousand doors are cheap', async () => {
    const many = Array.from({ length: 1000 }, (_, i) => seatOf(`seat-${i}`))
    await using stage = await raise(applicationOf(many))
    const before = process.memoryUsage().rss
    await Promise.all(many.map((seat) => stage.doors.open(nameOf(seat))))
    const grown = process.memoryUsage().rss - before
    expect(grown / many.length).toBeLessThan(64 * 1024)
    for (const seat of [many[0]!, many[999]!]) {
      const socketPath = join(await stage.doors.open(nameOf(seat)), CELL_SOCKET)
      expect((await send(stage.at, '/v1/self', { socketPath })).json.agent_id).toBe(seat.agent_id)
    }
  })
})
