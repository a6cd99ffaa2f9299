import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { createSqliteLog } from '../../src/store/sqlite-log.ts'

const dir = mkdtempSync(join(tmpdir(), 'lazarus-pulse-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))
const clock = { now: () => Date.now(), monotonic: () => performance.now() }

test('a pulse is a real write that adds nothing to the ledger', async () => {
  const path = join(dir, 'ledger.db')
  const ledger = createSqliteLog({ path, clock })
  await ledger.pulse()
  const before = statSync(`${path}-wal`).size
  await ledger.pulse()
  expect(statSync(`${path}-wal`).size).toBeGreaterThan(before)
  expect(ledger.head()).toBe(0)
  await ledger.close()
  const again = createSqliteLog({ path, clock })
  await again.pulse()
  expect([...again.read()]).toEqual([])
  await again.close()
})

test('a ledger that is closed has none', async () => {
  const ledger = createSqliteLog({ path: join(dir, 'closed.db'), clock })
  await ledger.close()
  await expect(ledger.pulse()).rejects.toThrow()
})
