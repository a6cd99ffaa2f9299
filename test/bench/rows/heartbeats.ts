import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { PitProcess } from '../../support/pit-process.ts'
import type { Contender } from '../contest.ts'
import { heartbeatsPerSecond } from '../heartbeat-load.ts'
import { type Bench, type BenchRow, find, type RowReport } from '../row.ts'
import { quantile } from '../statistics.ts'

const AGENTS = 1000
const CONNECTIONS = 64
const OURS = 'heartbeats, durable'
const PEER = 'fastify, one insert each'

/** A pit of its own, which takes heartbeats of agents that it does not know. */
async function ours(ms: number): Promise<Contender & AsyncDisposable> {
  const pit = await PitProcess.create()
  await pit.configure({ open_registration: true })
  await pit.start()
  const load = { port: Number(new URL(pit.url).port), token: pit.token, agents: AGENTS, connections: CONNECTIONS }
  return {
    name: OURS,
    sample: () => heartbeatsPerSecond(load, ms),
    [Symbol.asyncDispose]: () => pit[Symbol.asyncDispose](),
  }
}

async function peer(bench: Bench, ms: number): Promise<Contender & AsyncDisposable> {
  const dir = await mkdtemp(join(bench.dir, 'heartbeats-'))
  const server = spawn(process.execPath, [join(import.meta.dirname, '..', 'peers', 'heartbeat-server.ts'), dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [port] = await once(createInterface({ input: server.stdout }), 'line')
  const load = { port: Number(port), token: 'none', agents: AGENTS, connections: CONNECTIONS }
  return {
    name: PEER,
    sample: () => heartbeatsPerSecond(load, ms),
    async [Symbol.asyncDispose]() {
      const exited = once(server, 'exit')
      server.kill('SIGKILL')
      await exited
    },
  }
}

export const heartbeats: BenchRow = {
  name: 'heartbeats',
  about: `${AGENTS} agents over HTTP, each answered when it is durable`,
  async run(bench): Promise<RowReport[]> {
    const ms = bench.quick ? 500 : 1000
    await using mine = await ours(ms)
    await using theirs = await peer(bench, ms)
    const series = await bench.contest([mine, theirs], { rounds: bench.quick ? 7 : 20, warmups: 3 })
    const value = quantile(find(series, OURS).samples, 0.5) / quantile(find(series, PEER).samples, 0.5)
    return [
      {
        title: 'Heartbeats',
        unit: 'heartbeats/s',
        series,
        verdicts: [{ what: `${OURS} against ${PEER}`, value, unit: '×', bound: 'at least', target: 8 }],
        notes: [
          `A sample is the rate over ${ms} ms on ${CONNECTIONS} connections over TCP, one request at a time on each; the load runs in a process of its own on the same processors. Ours checks a token, host and body, and counts and logs as always; the peer is fastify with no more than the insert. That kill -9 loses nothing acknowledged is held by test/store/heartbeat-store.test.ts.`,
        ],
      },
    ]
  },
}
