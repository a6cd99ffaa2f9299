import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { BenchPit, type Cell } from '../bench-pit.ts'
import { removeContainers } from '../peers/peers.ts'
import { PodmanApi } from '../peers/podman-api.ts'
import { commandOf, memoryOf, processesOf } from '../processes.ts'
import type { Bench, BenchRow, RowReport } from '../row.ts'
import { quantile } from '../statistics.ts'

const OURS_AT_ONCE = 4
const PODMAN_AT_ONCE = 2 // where it is fastest: 33 a second, against 19 with one and 29 with eight

/** Does `create` `count` times, `at_once` of them side by side. Resolves to the moment each was done, in seconds. */
async function createMany(
  count: number,
  at_once: number,
  abort: AbortSignal,
  create: (() => Promise<unknown>) | readonly (() => Promise<unknown>)[],
): Promise<number[]> {
  const began = performance.now()
  const done: number[] = []
  let left = count
  const worker = async () => {
    while (left-- > 0) {
      abort.throwIfAborted()
      await (typeof create === 'function' ? create : create[left]!)()
      done.push((performance.now() - began) / 1000)
    }
  }
  await Promise.all(Array.from({ length: at_once }, worker))
  return done
}

const rate = (done: readonly number[]): number => done.length / done.at(-1)!

/** Seconds that each hundred took, one after the other. */
const hundreds = (done: readonly number[]): number[] =>
  done.filter((_, i) => i % 100 === 99).map((at, i, ends) => at - (ends[i - 1] ?? 0))

async function podmanRate(bench: Bench, count: number): Promise<number> {
  await using api = await PodmanApi.start(join(bench.dir, 'podman.sock'), PODMAN_AT_ONCE, bench.peers)
  const done = await createMany(count, PODMAN_AT_ONCE, bench.abort, () => api.run())
  await removeContainers(bench.peers.label)
  return rate(done)
}

interface Ours {
  readonly done: readonly number[]
  readonly mib_per_seat: number
  readonly revive_s: number
  readonly destroy_s: number
  readonly processes_left: readonly string[]
}

/** Sequence of the last event that matches; pages are read to their end. */
async function newest(pit: BenchPit, events: string, after = 0): Promise<number> {
  const page = await pit.call('GET', `${events}&after=${after}`)
  return page.next === null ? (page.events.at(-1)?.seq ?? after) : newest(pit, events, Number(page.next))
}

/** Seconds from the first of the kills until the last of the dead runs again. */
async function killAndRevive(
  pit: BenchPit,
  cell: Cell,
  victims: readonly string[],
  abort: AbortSignal,
): Promise<number> {
  const events = `/v1/events?mission_id=${cell.mission_id}&types=seat_spawned`
  let after: number = await newest(pit, events)
  const began = performance.now()
  const left = new Set(victims)
  const killing = createMany(
    victims.length,
    OURS_AT_ONCE - 1,
    abort,
    victims.map((seat) => () => cell.kill(seat)),
  )
  while (left.size > 0) {
    abort.throwIfAborted()
    const { events: revived } = await pit.call('GET', `${events}&after=${after}`)
    for (const { seq, agent_id } of revived) {
      left.delete(agent_id)
      after = seq
    }
    if (revived.length === 0) await pause(10)
  }
  const took_s = (performance.now() - began) / 1000
  await killing
  return took_s
}

async function ours(bench: Bench, seats: number): Promise<Ours> {
  await using pit = await BenchPit.start(OURS_AT_ONCE)
  const cell: Cell = await pit.openMission('level_2', await bench.repository(100))
  const before = new Set(processesOf(pit.directory, pit.pid))
  const names: string[] = []
  const create = async () => names.push(await cell.seat(['sleep', 'infinity']))
  const done = await createMany(seats, OURS_AT_ONCE, bench.abort, create)
  const mib_per_seat = memoryOf(processesOf(pit.directory, pit.pid)) / seats
  const revive_s = await killAndRevive(pit, cell, names.slice(0, seats / 10), bench.abort)
  const began = performance.now()
  await cell.destroy()
  const destroy_s = (performance.now() - began) / 1000
  const left = processesOf(pit.directory, pit.pid).filter((pid) => !before.has(pid))
  return { done, mib_per_seat, revive_s, destroy_s, processes_left: left.map(commandOf) }
}

export const thousandSeats: BenchRow = {
  name: 'thousand-seats',
  about: 'create 1,000 seats at level 2, kill 100, and destroy them',
  async run(bench): Promise<RowReport[]> {
    const [seats, containers] = bench.quick ? [200, 40] : [1000, 200]
    const before = await podmanRate(bench, containers / 2)
    const { done, mib_per_seat, revive_s, destroy_s, processes_left } = await ours(bench, seats)
    const podman = [before, await podmanRate(bench, containers / 2)]
    const spans = hundreds(done)
    return [
      {
        title: `${seats.toLocaleString('en-US')} seats at level 2`,
        unit: '',
        series: [
          { name: 'seats/s', samples: spans.map((s) => 100 / s), failure: null },
          { name: 'Podman API, containers/s', samples: podman, failure: null },
        ],
        verdicts: [
          {
            what: 'seats/s against the Podman API',
            value: rate(done) / quantile(podman, 1),
            unit: '×',
            bound: 'at least',
            target: 5,
          },
          {
            what: 'the last 100 against the first 100',
            value: spans.at(-1)! / spans[0]!,
            unit: '×',
            bound: 'at most',
            target: 1.5,
          },
          { what: 'memory per seat, daemon included', value: mib_per_seat, unit: 'MiB', bound: 'at most', target: 3 },
          { what: `${seats / 10} killed, all revived`, value: revive_s, unit: 's', bound: 'at most', target: 2 },
          { what: 'processes left after destroy', value: processes_left.length, unit: '', bound: 'at most', target: 0 },
        ],
        notes: [
          `Ours: ${rate(done).toFixed(1)} seats/s over all, ${OURS_AT_ONCE} requests at a time; a sample is the rate over a hundred seats. Destroyed in ${destroy_s.toFixed(1)} s, last snapshots and the proof of the homes included.`,
          `Podman: ${containers} containers through its API, ${PODMAN_AT_ONCE} at a time, half of them before ours and half after; the better half counts.`,
          'Memory is the proportional set size of the daemon and of every process below it or in one of its directories..',
          'Left after destroy is what was not there before the first seat.',
          ...processes_left.map((command) => `Left: ${command}`),
        ],
      },
    ]
  },
}
