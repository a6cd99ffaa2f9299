import type { Level } from '../bench-pit.ts'
import { type Bench, type BenchRow, find, type RowReport } from '../row.ts'
import { quantile } from '../statistics.ts'
import { spawnAt } from './spawn.ts'

const SIZES = [100, 10_000, 100_000] as const
const LEVELS: Readonly<Record<string, Level>> = { 'level 1': 'level_1', 'level 2': 'level_2', 'level 3': 'level_3' }

const name = (level: string, files: number): string => `${level}, ${files.toLocaleString('en-US')} files`

async function measure(bench: Bench, label: string, level: Level): Promise<RowReport> {
  const pit = await bench.pit()
  const contenders = []
  for (const files of SIZES) contenders.push(spawnAt(pit, level, await bench.repository(files), name(label, files)))
  const series = await bench.contest(contenders, { rounds: bench.quick ? 10 : 60, warmups: 2 })
  const [smallest, largest] = [SIZES[0], SIZES.at(-1)!].map((files) =>
    quantile(find(series, name(label, files)).samples, 0.5),
  )
  return {
    title: `Spawn against repository size, ${label}`,
    unit: 'ms',
    series,
    verdicts: [
      {
        what: 'the largest against the smallest',
        value: largest! / smallest!,
        unit: '×',
        bound: 'at most',
        target: 1.5,
      },
    ],
    notes: [
      'The base of each repository was checked out by a seat before; the first seat of a new commit pays for that checkout.',
    ],
  }
}

export const repositorySize: BenchRow = {
  name: 'repository-size',
  about: `spawn over ${SIZES.map((files) => files.toLocaleString('en-US')).join(', ')} files, warm base`,
  async run(bench): Promise<RowReport[]> {
    const reports = []
    for (const [label, level] of Object.entries(LEVELS)) reports.push(await measure(bench, label, level))
    return reports
  },
}
