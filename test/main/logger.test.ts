import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, watch } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createLogger } from '../../src/main/logger.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lazarus-log-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const lines = (name: string): number[] =>
  readFileSync(join(dir, name), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line).n)

/** Waits on the directory and its files, not on time. */
async function until(holds: () => boolean): Promise<void> {
  using changes = {
    watcher: watch(dir),
    [Symbol.dispose]() {
      this.watcher.close()
    },
  }
  while (!holds()) await new Promise((resolve) => changes.watcher.once('change', resolve))
}

test('a full log file makes room: two files at most, no line lost between them, none torn', async () => {
  const log = createLogger('info', join(dir, 'daemon.log'), 4096)
  const last = () => (readdirSync(dir).includes('daemon.log') ? lines('daemon.log').at(-1) : undefined)
  for (let n = 1; n <= 200; n += 1) {
    log.info({ n, text: 'x'.repeat(100) }, 'a line')
    if (n % 10 === 0)
      await until(
        () =>
          last() === n ||
          (last() === undefined && readdirSync(dir).includes('daemon.log.1') && lines('daemon.log.1').at(-1) === n),
      )
  }
  expect(readdirSync(dir).toSorted()).toEqual(['daemon.log', 'daemon.log.1'])
  const kept = [...lines('daemon.log.1'), ...lines('daemon.log')]
  expect(kept).toEqual(Array.from({ length: kept.length }, (_, i) => 201 - kept.length + i))
  for (const name of readdirSync(dir)) {
    expect(statSync(join(dir, name)).size).toBeLessThan(8192)
    expect(statSync(join(dir, name)).mode & 0o777).toBe(0o600)
  }
})

test('a log that was large already is rotated by its next line', async () => {
  const log = createLogger('info', join(dir, 'daemon.log'), 300)
  log.info({ n: 1, text: 'x'.repeat(200) }, 'a line')
  await until(() => readdirSync(dir).includes('daemon.log') && lines('daemon.log').length === 1)
  const again = createLogger('info', join(dir, 'daemon.log'), 300)
  again.info({ n: 2 }, 'a line')
  await until(() => readdirSync(dir).includes('daemon.log.1') && readdirSync(dir).includes('daemon.log'))
  expect(lines('daemon.log.1')).toEqual([1, 2])
})

test('secrets are not written, and a destination that cannot be written ends nothing', async () => {
  const log = createLogger('info', join(dir, 'daemon.log'))
  log.child({ token: 'canary' }).info({ n: 1, seat: { env: { A: 'canary' } } }, 'a line')
  await until(() => readdirSync(dir).includes('daemon.log') && lines('daemon.log').length === 1)
  expect(readFileSync(join(dir, 'daemon.log'), 'utf8')).not.toContain('canary')
  const full = createLogger('info', '/dev/full')
  full.info({}, 'a line that has no room')
  await until(() => {
    log.info({ n: 2 }, 'another line')
    return lines('daemon.log').length > 20
  })
})
