import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { applicationOf, eventOf, raise, seatOf } from '../http/stage.ts'
import { scratch } from './terminal.ts'

const CLI = join(import.meta.dirname, '../../src/main/cli.ts')

/** Prints the address of every module that is loaded. */
const TRACE = `data:text/javascript,${encodeURIComponent(
  'import { registerHooks } from "node:module"; registerHooks({ load(url, context, next) { process._rawDebug("loaded " + url); return next(url, context) } })',
)}`

function start(args: readonly string[], env: Record<string, string>, flags: readonly string[] = []): ChildProcess {
  return spawn(process.execPath, [...flags, CLI, ...args], {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function finished(child: ChildProcess) {
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) child[name]?.on('data', (chunk) => (text[name] += chunk))
  const [code] = await once(child, 'close')
  return { code, ...text }
}

test('verbs that only talk to a pit load no server, no driver, no schema library', async () => {
  await using stage = await raise(applicationOf([]))
  for (const args of [['version'], ['status']]) {
    const { code, stderr } = await finished(start(args, { LAZARUS_STATE_DIR: stage.state_dir }, ['--import', TRACE]))
    expect(code).toBe(0)
    const packages = new Set([...stderr.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)/g)].map(([, name]) => name))
    expect([...packages]).toEqual(['commander'])
  }
})

test('it needs no home and no state directory, and makes neither', async () => {
  await using dir = await scratch()
  const state = join(dir.path, 'state')
  expect(await finished(start(['version'], { LAZARUS_STATE_DIR: state }))).toMatchObject({ code: 0, stderr: '' })
  expect(existsSync(state)).toBe(false)
  expect((await finished(start(['version'], {}))).code).toBe(0)
})

test('compiled code is kept in the state directory when there is one', async () => {
  await using dir = await scratch()
  mkdirSync(join(dir.path, 'lazarus'))
  expect((await finished(start(['version'], { XDG_STATE_HOME: dir.path }))).code).toBe(0)
  expect(readdirSync(join(dir.path, 'lazarus'))).toEqual(['compile-cache'])
})

test.each(['SIGINT', 'SIGTERM'] as const)('%s ends a verb that follows, with exit code 130', async (signal) => {
  await using stage = await raise(
    applicationOf([seatOf('a')], {
      async *followEvents(_options, abort) {
        yield eventOf(1)
        if (!abort.aborted) await once(abort, 'abort')
      },
    }),
  )
  const child = start(['events', '-f'], { LAZARUS_STATE_DIR: stage.state_dir })
  const end = finished(child)
  await once(child.stdout!, 'data')
  child.kill(signal)
  expect(await end).toMatchObject({ code: 130, stderr: '' })
})

test('a reader that has seen enough is no error', async () => {
  await using stage = await raise(
    applicationOf([seatOf('a')], {
      async *followEvents(_options, abort) {
        for (let seq = 1; !abort.aborted; seq++) yield eventOf(seq)
      },
    }),
  )
  const child = start(['events', '-f'], { LAZARUS_STATE_DIR: stage.state_dir })
  const closed = once(child, 'close')
  await once(child.stdout!, 'data')
  child.stdout!.destroy()
  expect((await closed)[0]).toBe(0)
})

test('inside a cell it talks through the socket of the seat', async () => {
  await using stage = await raise(applicationOf([seatOf('a')]))
  const socket = join(await stage.doors.open({ ...seatOf('a') }), 'cell.sock')
  const { code, stderr } = await finished(
    start(['mission', 'ls'], { LAZARUS_SOCKET: socket, LAZARUS_STATE_DIR: '/nonexistent' }),
  )
  expect([code, stderr]).toEqual([4, expect.stringContaining('forbidden')])
})
