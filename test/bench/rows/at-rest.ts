import { setTimeout as after } from 'node:timers/promises'
import { BenchPit } from '../bench-pit.ts'
import { cpuSeconds, residentMiB } from '../processes.ts'
import type { BenchRow, RowReport } from '../row.ts'
import { summarise } from '../statistics.ts'

const SEATS = 100

export const atRest: BenchRow = {
  name: 'at-rest',
  about: `CPU and memory of the daemon with ${SEATS} idle seats`,
  async run(bench): Promise<RowReport[]> {
    // A pit of its own: what the other rows made the shared one remember is not to be measured.
    await using pit = await BenchPit.startAgain()
    const cell = await pit.openMission('level_2', await bench.repository(100))
    for (let seat = 0; seat < SEATS; seat++) await cell.spawn()
    const cpu: number[] = []
    const memory: number[] = []
    for (let window = 0; window < (bench.quick ? 4 : 12); window++) {
      const before = cpuSeconds(pit.pid)
      await after(5000, undefined, { signal: bench.abort }) // A rate needs a span of time: nothing is waited for.
      cpu.push(((cpuSeconds(pit.pid) - before) / 5) * 100)
      memory.push(residentMiB(pit.pid))
    }
    return [
      {
        title: `Daemon at rest, ${SEATS} seats at level 2`,
        unit: 'per window of 5 s',
        series: [
          { name: 'CPU, % of one core', samples: cpu, failure: null },
          { name: 'resident memory, MiB', samples: memory, failure: null },
        ],
        verdicts: [
          {
            what: 'CPU of the daemon, mean',
            value: cpu.reduce((a, b) => a + b) / cpu.length,
            unit: '%',
            bound: 'at most',
            target: 1,
          },
          {
            what: 'resident memory, largest',
            value: summarise(memory).max,
            unit: 'MiB',
            bound: 'at most',
            target: 150,
          },
        ],
        notes: [
          'The pit was started for the second time: the first start of a version also holds the compiler of its sources, some 20 MiB.',

          'Windows begin right after the last seat was spawned, so they hold whatever the daemon does afterwards.',
        ],
      },
    ]
  },
}
