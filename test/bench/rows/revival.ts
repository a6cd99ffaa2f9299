import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchPit, Cell, Level } from '../bench-pit.ts'
import type { Contender, Series } from '../contest.ts'
import { podmanRestarts, poller } from '../peers/restarters.ts'
import { type BenchRow, find, type RowReport, timesFaster, type Verdict } from '../row.ts'
import { saidTimes } from '../said.ts'
import { quantile } from '../statistics.ts'

/** First keeps a word in the worktree, then says what is kept there, and stays. */
const FIRST = ['sh', '-c', 'echo kept-from-before >/workspace/word; cat /workspace/word; exec sleep infinity']
const RESUMED = ['sh', '-c', 'cat /workspace/word; exec sleep infinity']
const WORD = 'kept-from-before'

const LEVELS = ['level_1', 'level_2', 'level_3'] as const
const nameOf = (level: Level): string => level.replace('_', ' ')

/** From the kill of an agent until its successor has said what the dead one kept. A seat of its own for each sample. */
function revivedAt(pit: BenchPit, level: Level, repository: string): Contender {
  let cell: Promise<Cell> | null = null
  return {
    name: nameOf(level),
    sample: async () => {
      cell ??= pit.openMission(level, repository)
      const { seat, log } = await startAgent(await cell)
      const again = saidTimes(log, WORD, 2)
      const began = performance.now()
      const [at] = await Promise.all([again, (await cell).kill(seat)])
      await (await cell).withdraw(seat)
      return at - began
    },
  }
}

async function startAgent(cell: Cell): Promise<{ seat: string; log: string }> {
  const seat = await cell.seat(FIRST, undefined, RESUMED)
  const log = cell.log(seat)
  await saidTimes(log, WORD, 1)
  return { seat, log }
}

function verdicts(series: readonly Series[]): Verdict[] {
  const within = (name: string, target: number): Verdict => {
    const value = quantile(find(series, name).samples, 0.95)
    return { what: `${name}, p95`, value, unit: 'ms', bound: 'at most', target }
  }
  return [
    within('level 1', 60),
    within('level 2', 60),
    within('level 3', 250),
    ...LEVELS.map((level) =>
      timesFaster(series, nameOf(level), 'poller, every second', level === 'level_3' ? null : 10),
    ),
    ...LEVELS.map((level) => timesFaster(series, nameOf(level), 'podman run --restart=always', null)),
  ]
}

export const revival: BenchRow = {
  name: 'revival',
  about: 'kill -9 of an agent until the revived one answers with data from before',
  async run(bench): Promise<RowReport[]> {
    const [pit, repository] = await Promise.all([bench.pit(), bench.repository(6000)])
    const dir = join(bench.dir, 'restarters')
    await mkdir(dir)
    await using restarting = podmanRestarts(bench.peers, dir)
    await using polling = poller(dir)
    const ours = LEVELS.map((level) => revivedAt(pit, level, repository))
    const rounds = { rounds: bench.quick ? 10 : 60, warmups: 3 }
    const series = await bench.contest([...ours, restarting, polling], rounds)
    return [
      {
        title: 'Detect and revive',
        unit: 'ms',
        series,
        verdicts: verdicts(series),
        notes: [
          'Ours: from the request that kills the agent with SIGKILL until its successor, which has the worktree of the dead one, has said what is in it; a checkpoint of what the dead one left is durable before that.',
          'podman run --restart=always: the same agent, killed by its pid on the host; nothing is checkpointed. The poller looks once a second whether the agent lives, and starts it again, without any isolation; it is killed at moments spread over the second.',
        ],
      },
    ]
  },
}
