import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openMemory } from '../../src/alerts/memory.ts'
import type { DeadManMemory } from '../../src/contract/dead-man.ts'

const dir = mkdtempSync(join(tmpdir(), 'lazarus-memory-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const MEMORY: DeadManMemory = { boot_id: 'b', heard_ms: 7, heard_at: '2026-01-01T00:00:00.000Z', outage: null }

test('what one look keeps, the next one finds', () => {
  const path = join(dir, 'kept.db')
  {
    using memory = openMemory(path)
    expect(memory.content).toBeNull()
    expect(memory.keep(MEMORY)).toBe(true)
  }
  using memory = openMemory(path)
  expect(memory.content).toEqual(MEMORY)
})

test('a damaged one is begun anew: the watcher must not die of it', () => {
  const path = join(dir, 'damaged.db')
  writeFileSync(path, 'no database at all, and long enough to be looked at'.repeat(100))
  using memory = openMemory(path)
  expect(memory.content).toBeNull()
  expect(memory.keep(MEMORY)).toBe(true)
})

test('two looks at once go one after the other, and a killed one holds nobody up', async () => {
  const path = join(dir, 'shared.db')
  const module = join(import.meta.dirname, '../../src/alerts/memory.ts')
  const holder = spawn(
    process.execPath,
    [
      '-e',
      `import(${JSON.stringify(module)}).then((m) => { globalThis.memory = m.openMemory(${JSON.stringify(path)}); memory.keep; console.log('held'); setInterval(() => {}, 1000) })`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await once(holder.stdout, 'data')
  const waiter = spawn(
    process.execPath,
    [
      '-e',
      `import(${JSON.stringify(module)}).then((m) => { console.log('asks'); m.openMemory(${JSON.stringify(path)}); console.log('has it') })`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let said = ''
  waiter.stdout.on('data', (data) => (said += data))
  await once(waiter.stdout, 'data')
  expect(said).toBe('asks\n')
  holder.kill('SIGKILL')
  await once(waiter, 'close')
  expect(said).toBe('asks\nhas it\n')
})
