import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fastify } from 'fastify'

/** The peer of the row `heartbeats`: fastify as its manual begins, one durable insert per heartbeat. argv: a directory. */
const db = new DatabaseSync(join(process.argv[2]!, 'heartbeats.sqlite'))
db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
db.exec('CREATE TABLE heartbeats (id INTEGER PRIMARY KEY, agent_id TEXT, at REAL, metadata TEXT) STRICT')
const insert = db.prepare('INSERT INTO heartbeats (agent_id, at, metadata) VALUES (?, ?, ?)')

interface Heartbeat {
  Params: { agent_id: string }
  Body: { metadata: Record<string, unknown> }
}

const server = fastify({ logger: false })
server.post<Heartbeat>('/heartbeat/:agent_id', async ({ params: { agent_id }, body }) => {
  const timestamp = Date.now() / 1000
  insert.run(agent_id, timestamp, JSON.stringify(body.metadata))
  return { status: 'ok', agent_id, timestamp, next_heartbeat: timestamp + 30 }
})
const url = await server.listen({ host: '127.0.0.1', port: 0 })
process.stdout.write(`${new URL(url).port}\n`)
