import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createSeatLogs } from '../../src/store/seat-logs.ts'

let dir: string
let path: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'seat-logs-'))
  path = join(dir, 'builder.log')
})
afterEach(() => rm(dir, { recursive: true }))

const NOW = new AbortController().signal

async function readAll(format: 'raw' | 'k8s-file', tail: number | null): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const part of createSeatLogs().read({ path, format }, { tail, follow: false }, NOW)) parts.push(part)
  return Buffer.concat(parts).toString()
}

test('rotated files come first, oldest first', async () => {
  await writeFile(`${path}.2`, 'one\n')
  await writeFile(`${path}.1`, 'two\n')
  await writeFile(path, 'three\nfour')
  expect(await readAll('raw', null)).toBe('one\ntwo\nthree\nfour')
  expect(await readAll('raw', 2)).toBe('three\nfour')
  expect(await readAll('raw', 0)).toBe('')
  expect(await readAll('raw', 99)).toBe('one\ntwo\nthree\nfour')
})

test('a log that does not exist yet is empty', async () => {
  expect(await readAll('raw', null)).toBe('')
})

test("conmon's lines are given back as the agent wrote them", async () => {
  const at = '2026-01-01T00:00:00.000000000+00:00'
  await writeFile(path, `${at} stdout F hello world\n${at} stderr P part \n${at} stdout F one\n${at} stdout F \n`)
  expect(await readAll('k8s-file', null)).toBe('hello world\npart one\n\n')
})

test('following goes on across a rotation and ends when told', async () => {
  await writeFile(path, 'first\n')
  const ended = new AbortController()
  const lines = createSeatLogs()
    .read({ path, format: 'raw' }, { tail: 1, follow: true }, ended.signal)
    [Symbol.asyncIterator]()
  const next = async () => Buffer.from((await lines.next()).value ?? []).toString()
  expect(await next()).toBe('first\n')
  await appendFile(path, 'second\n')
  expect(await next()).toBe('second\n')
  await rename(path, `${path}.1`)
  await writeFile(path, 'third\n')
  expect(await next()).toBe('third\n')
  ended.abort()
  expect((await lines.next()).done).toBe(true)
})
