import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, openSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createSqliteLog } from '../../src/store/sqlite-log.ts'
import { collected, completed, eventLogConformance, failed, MISSION_A } from '../conformance/event-log.ts'

const clock = { now: () => Date.now(), monotonic: () => performance.now() }
const WRITER = fileURLToPath(new URL('./ledger-writer.ts', import.meta.url))

const temporary = () => mkdtempSync(join(tmpdir(), 'lazarus-ledger-'))
const discard = (directory: string) => rmSync(directory, { recursive: true, force: true })

eventLogConformance('on SQLite', true, async () => {
  const directory = temporary()
  const path = join(directory, 'ledger.db')
  let log = createSqliteLog({ path, clock })
  const reopen = async () => {
    await log.close()
    log = createSqliteLog({ path, clock })
    return log
  }
  const dispose = async () => {
    await log.close()
    discard(directory)
  }
  return { log, reopen, dispose }
})

describe('the ledger on SQLite', () => {
  let directory: string
  let path: string
  beforeEach(() => {
    directory = temporary()
    path = join(directory, 'ledger.db')
  })
  afterEach(() => discard(directory))

  const refusal = (): unknown => {
    try {
      createSqliteLog({ path, clock })
    } catch (error) {
      return error
    }
    throw new Error('opened')
  }

  /** A real second process on the ledger. It prints how it was opened, then each acknowledged count. */
  const startWriter = (command: readonly string[] = [process.execPath]) => {
    const [program, ...args] = [...command, WRITER, path]
    const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator](), exited: once(child, 'exit') }
  }

  it('is private: mode 0600, its write-ahead log too', async () => {
    const log = createSqliteLog({ path, clock })
    await log.append(MISSION_A, 0, [completed()])
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(`${path}-wal`).mode & 0o777).toBe(0o600)
    await log.close()
  })

  describe('one owner', () => {
    it('refuses a second log in the same process, and the first goes on', async () => {
      const log = createSqliteLog({ path, clock })
      expect(refusal()).toMatchObject({ code: 'pit_already_running', details: { path, pid: process.pid } })
      expect(refusal()).toMatchObject({ code: 'pit_already_running' })
      expect(await log.append(MISSION_A, 0, [completed()])).toHaveLength(1)
      await log.close()
      await createSqliteLog({ path, clock }).close()
    })

    it('refuses while another process has it, names its pid, and opens once that one was killed', async () => {
      const { child, lines, exited } = startWriter()
      expect((await lines.next()).value).toBe('opened')
      const error = refusal()
      expect(error).toMatchObject({ code: 'pit_already_running', details: { pid: child.pid } })
      expect((error as Error).message).toContain(String(child.pid))
      child.kill('SIGKILL')
      await exited
      await createSqliteLog({ path, clock }).close()
    })
  })

  describe('durability', () => {
    it('loses nothing acknowledged when the writer is killed at full speed, five times', async () => {
      let before = 0
      for (let round = 0; round < 5; round += 1) {
        const { child, lines, exited } = startWriter()
        expect((await lines.next()).value).toBe('opened')
        let acknowledged = before
        while (acknowledged < before + 200 * (round + 1)) acknowledged = Number((await lines.next()).value)
        child.kill('SIGKILL')
        await exited
        for (let line = await lines.next(); !line.done; line = await lines.next()) acknowledged = Number(line.value)
        const log = createSqliteLog({ path, clock })
        const commits = [...log.read()].map((event) => (event.type === 'collected' ? event.data.commits : -1))
        expect(commits.length).toBeGreaterThanOrEqual(acknowledged)
        expect(commits).toEqual(commits.map((_, i) => i))
        before = commits.length
        await log.close()
      }
    })
  })

  describe('a full disk', () => {
    it('refuses what does not fit with storage_full, keeps what was acknowledged, and goes on', async () => {
      const log = createSqliteLog({ path, clock, max_pages: 40 })
      const other = crypto.randomUUID()
      const outcomes = await Promise.allSettled([
        log.append(MISSION_A, 0, [failed('small')]),
        log.append(other, 0, [failed('x'.repeat(400_000))]),
        log.append(MISSION_A, 1, [failed('small too')]),
      ])
      expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(outcomes[1]).toMatchObject({ reason: { code: 'storage_full', retryable: true } })
      expect(log.head()).toBe(2)
      await log.close()
      const roomy = createSqliteLog({ path, clock })
      await roomy.append(other, 0, [failed('x'.repeat(400_000))])
      expect([...roomy.read()].map((event) => event.seq)).toEqual([1, 2, 3])
      await roomy.close()
    })

    it('a real one (a tmpfs of 1 MiB) too: nothing acknowledged is lost, the process lives', async () => {
      const mount = 'mount -t tmpfs -o size=1m tmpfs "$1" && shift && exec "$@"'
      const { lines, exited } = startWriter(['unshare', '-Urm', 'sh', '-c', mount, 'sh', directory, process.execPath])
      expect((await lines.next()).value).toBe('opened')
      let acknowledged = 0
      let last = ''
      for (let line = await lines.next(); !line.done; line = await lines.next()) {
        if (/^\d+$/.test(line.value)) acknowledged = Number(line.value)
        last = line.value
      }
      expect(await exited).toEqual([0, null])
      expect(acknowledged).toBeGreaterThan(0)
      expect(last).toBe(`storage_full, then read ${acknowledged}`)
    })
  })

  describe('a file that cannot be the ledger', () => {
    const filled = async () => {
      const log = createSqliteLog({ path, clock })
      await log.append(
        MISSION_A,
        0,
        Array.from({ length: 3000 }, (_, i) => collected(i)),
      )
      await log.close()
    }
    const readAll = async () => {
      const log = createSqliteLog({ path, clock })
      try {
        return [...log.read()].length
      } finally {
        await log.close()
      }
    }

    it('is told when it is no database', () => {
      writeFileSync(path, 'not a database, but long enough to be read as one'.repeat(100))
      expect(refusal()).toMatchObject({ code: 'ledger_unusable', message: expect.stringContaining(path) })
    })

    it('is told when it was truncated', async () => {
      await filled()
      truncateSync(path, Math.floor(statSync(path).size / 2 / 4096) * 4096)
      await expect(readAll()).rejects.toMatchObject({ code: 'ledger_unusable' })
    })

    it('is told when its middle was overwritten', async () => {
      await filled()
      const fd = openSync(path, 'r+')
      for (let page = 3; page < 60; page += 1) writeSync(fd, Buffer.alloc(4096, 0xa5), 0, 4096, page * 4096)
      rmSync(`${path}-wal`, { force: true })
      await expect(readAll()).rejects.toMatchObject({ code: 'ledger_unusable' })
    })

    it('is told when an event is no JSON', async () => {
      await filled()
      const db = new DatabaseSync(path)
      db.exec(`UPDATE events SET data = '{"commits":' WHERE seq = 7`)
      db.close()
      await expect(readAll()).rejects.toMatchObject({ code: 'ledger_unusable', message: expect.stringContaining('7') })
    })

    it('is told when a newer version wrote it, and is not touched', async () => {
      await filled()
      const db = new DatabaseSync(path)
      db.exec('PRAGMA user_version = 99')
      db.close()
      expect(refusal()).toMatchObject({ code: 'ledger_unusable', message: expect.stringContaining('99') })
    })

    it('is told when the database is of somebody else, and is not touched', () => {
      const db = new DatabaseSync(path)
      db.exec('CREATE TABLE bookmarks (url TEXT)')
      db.close()
      expect(refusal()).toMatchObject({ code: 'ledger_unusable' })
      const again = new DatabaseSync(path)
      expect(again.prepare('SELECT name FROM sqlite_schema').all()).toMatchObject([{ name: 'bookmarks' }])
      again.close()
    })
  })

  it('64 writers share commits: at least twice as fast as one commit per event, usually twelve times', async () => {
    const log = createSqliteLog({ path, clock })
    const alone = await eventsPerSecond(log, 1, 1500)
    const together = await eventsPerSecond(log, 64, 250)
    await log.close()
    const ratio = together / alone
    console.info(
      `ledger: ${Math.round(alone)}/s one by one, ${Math.round(together)}/s from 64 writers, ratio ${ratio.toFixed(1)}`,
    )
    expect(ratio).toBeGreaterThan(2)
  })
})

async function eventsPerSecond(
  log: ReturnType<typeof createSqliteLog>,
  writers: number,
  each: number,
): Promise<number> {
  const started = performance.now()
  await Promise.all(
    Array.from({ length: writers }, async () => {
      const mission_id = crypto.randomUUID()
      for (let version = 0; version < each; version += 1) await log.append(mission_id, version, [collected(version)])
    }),
  )
  return (writers * each * 1000) / (performance.now() - started)
}
