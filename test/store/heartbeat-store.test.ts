import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { heartbeat, newcomer } from '../../src/domain/health.ts'
import { type Log, silentLog } from '../../src/kernel/log.ts'
import { createHeartbeatStore } from '../../src/store/heartbeat-store.ts'

const MISSION = '0b9f2c52-6f0e-4d0a-9a55-0c2e6f1b7a10'
let dir: string
let path: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lazarus-heartbeats-'))
  path = join(dir, 'health.db')
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const open = (max_pages?: number, log: Log = silentLog) =>
  createHeartbeatStore({ path, log, ...(max_pages === undefined ? {} : { max_pages }) })

test('the last word on each place is kept, over a restart too', async () => {
  const store = open()
  const first = heartbeat(newcomer('ada', MISSION), 1000, 1, { session: 'ünïcødé' })
  const last = heartbeat(first, 2000.5, 1, {})
  const outside = newcomer('ada', null)
  await Promise.all([store.put(first), store.put(last), store.put(outside)])
  expect(store.all()).toEqual([last, outside])
  await store.close()
  const again = open()
  expect(again.all()).toEqual([last, outside])
  await Promise.all([again.put(first), again.remove('ada', MISSION)])
  expect(again.all()).toEqual([outside])
  await again.close()
})

test('only the operator may read it', async () => {
  const store = open()
  await store.put(newcomer('ada', null))
  const modes = readdirSync(dir).map((name) => [name, statSync(join(dir, name)).mode & 0o777])
  expect(modes.length).toBeGreaterThanOrEqual(2)
  for (const [, mode] of modes) expect(mode).toBe(0o600)
  await store.close()
})

test('a thousand heartbeats at once are a handful of commits, each answered after its own', async () => {
  const store = open()
  await Promise.all(
    Array.from({ length: 5000 }, (_, i) => store.put({ ...newcomer(`agent-${i % 100}`, null), failures: i })),
  )
  expect(
    store
      .all()
      .map(({ failures }) => failures)
      .toSorted((a, b) => a - b),
  ).toEqual(Array.from({ length: 100 }, (_, i) => 4900 + i))
  await store.close()
})

test('a full disk is told to those who wait, and is got over', async () => {
  const store = open(8)
  const large = (i: number) => ({ ...newcomer(`agent-${i}`, null), metadata: { text: 'x'.repeat(4000) } })
  const ends = await Promise.allSettled(Array.from({ length: 50 }, (_, i) => store.put(large(i))))
  expect(ends.every((end) => end.status === 'rejected' && end.reason.code === 'storage_full')).toBe(true)
  await expect(store.put(newcomer('small', null))).resolves.toBeUndefined()
  expect(store.all()).toEqual([newcomer('small', null)])
  await store.close()
})

test.each([
  ['damaged', () => writeFileSync(path, 'this is no database, and long enough to be taken for one'.repeat(100))],
  ['of a later version', () => new DatabaseSync(path).exec('PRAGMA user_version = 7')],
])('a file that is %s is begun anew, with a word in the log', async (_, spoil) => {
  spoil()
  const warnings: string[] = []
  const log: Log = { ...silentLog, warn: (_fields, message) => void warnings.push(message) }
  const store = open(undefined, log)
  expect(warnings).toEqual(['the last heartbeats cannot be read; they begin anew'])
  await store.put(newcomer('ada', null))
  await store.close()
  expect(open().all()).toEqual([newcomer('ada', null)])
})

test('what is put after the end is refused', async () => {
  const store = open()
  const queued = store.put(newcomer('ada', null))
  await store.close()
  await expect(queued).resolves.toBeUndefined()
  await expect(store.put(newcomer('bob', null))).rejects.toMatchObject({ code: 'shutting_down' })
  await store.close()
})

test('kill -9 loses nothing that was acknowledged', async () => {
  const writer = spawn(process.execPath, [join(import.meta.dirname, 'heartbeat-writer.ts'), path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const acknowledged = new Map<string, number>()
  for await (const line of createInterface({ input: writer.stdout })) {
    const [agent, beat] = line.split(' ')
    acknowledged.set(`agent-${agent}`, Number(beat))
    if (Number(beat) === 40) writer.kill('SIGKILL')
  }
  if (writer.exitCode === null && writer.signalCode === null) await once(writer, 'exit')
  expect(writer.signalCode).toBe('SIGKILL')
  const store = open()
  const found = new Map(store.all().map(({ agent_id, last_heartbeat }) => [agent_id, last_heartbeat ?? 0]))
  expect(acknowledged.size).toBe(8)
  for (const [agent, beat] of acknowledged) expect(found.get(agent)).toBeGreaterThanOrEqual(beat)
  await store.close()
})
