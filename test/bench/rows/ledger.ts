import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { DomainEvent } from '../../../src/contract/event.ts'
import { createSqliteLog } from '../../../src/store/sqlite-log.ts'
import type { Contender } from '../contest.ts'
import { type Bench, type BenchRow, find, type RowReport } from '../row.ts'
import { quantile } from '../statistics.ts'

const WRITERS = 64
const EVENT: DomainEvent = { type: 'refused', agent_id: 'ada', data: { what: 'heartbeat', generation: 1 } }
const clock = { now: () => Date.now(), monotonic: () => performance.now() }

/** Each writer waits for its event to be durable before it makes the next one. */
async function writeFor(ms: number, append: (writer: number) => Promise<unknown>): Promise<number> {
  const began = performance.now()
  let count = 0
  await Promise.all(
    Array.from({ length: WRITERS }, async (_, writer) => {
      while (performance.now() - began < ms) {
        await append(writer)
        count++
      }
    }),
  )
  return (count / (performance.now() - began)) * 1000
}

function ours(bench: Bench, ms: number): Contender & AsyncDisposable {
  const log = createSqliteLog({ path: join(bench.dir, 'ledger.sqlite'), clock })
  const missions = Array.from({ length: WRITERS }, () => crypto.randomUUID())
  const versions = new Array<number>(WRITERS).fill(0)
  const append = (writer: number) => log.append(missions[writer]!, versions[writer]!++, [EVENT])
  return {
    name: `ledger, ${WRITERS} writers`,
    sample: () => writeFor(ms, append),
    [Symbol.asyncDispose]: () => log.close(),
  }
}

/** The same row, file settings and durability, with one transaction per event and nothing of our code around it. */
function oneCommitPerEvent(bench: Bench, ms: number): Contender & AsyncDisposable {
  const db = new DatabaseSync(join(bench.dir, 'one-by-one.sqlite'))
  db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  db.exec(
    'CREATE TABLE events (seq INTEGER PRIMARY KEY, at TEXT, mission INTEGER, version INTEGER, agent_id TEXT, type TEXT, data TEXT) STRICT',
  )
  db.exec('CREATE INDEX events_by_mission ON events (mission)')
  const insert = db.prepare('INSERT INTO events (at, mission, version, agent_id, type, data) VALUES (?, ?, ?, ?, ?, ?)')
  const append = async (writer: number) => {
    insert.run(new Date().toISOString(), writer, 1, EVENT.agent_id, EVENT.type, JSON.stringify(EVENT.data))
  }
  return {
    name: 'one commit per event',
    sample: () => writeFor(ms, append),
    [Symbol.asyncDispose]: async () => db.close(),
  }
}

export const ledger: BenchRow = {
  name: 'ledger',
  about: '64 writers, each event acknowledged after a durable commit',
  async run(bench): Promise<RowReport[]> {
    const ms = bench.quick ? 300 : 1000
    await using mine = ours(bench, ms)
    await using peer = oneCommitPerEvent(bench, ms)
    const series = await bench.contest([mine, peer], { rounds: bench.quick ? 7 : 20, warmups: 2 })
    const value = quantile(find(series, mine.name).samples, 0.5) / quantile(find(series, peer.name).samples, 0.5)
    return [
      {
        title: 'Ledger',
        unit: 'events/s',
        series,
        verdicts: [{ what: `${mine.name} against ${peer.name}`, value, unit: '×', bound: 'at least', target: 8 }],
        notes: [
          `A sample is the rate over ${ms} ms. That kill -9 loses nothing acknowledged is held by test/store/sqlite-log.test.ts.`,
        ],
      },
    ]
  },
}
