import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchPit, Cell, Level } from '../bench-pit.ts'
import { output } from '../command.ts'
import type { Contender, Series } from '../contest.ts'
import { devcontainerUp } from '../peers/devcontainer.ts'
import { podmanRun, WORKTREE, worktreeAndPodman } from '../peers/podman.ts'
import { srt } from '../peers/srt.ts'
import { type Bench, type BenchRow, type RowReport, timesFaster, type Verdict } from '../row.ts'

const FILES = 6000

/** `POST …/seats` until the agent's first byte; withdrawn after the clock has stopped. */
export function spawnAt(pit: BenchPit, level: Level, repository: string, name: string): Contender {
  let cell: Promise<Cell> | null = null
  return {
    name,
    sample: async () => {
      cell ??= pit.openMission(level, repository)
      const { agent_id, first_byte_ms, answered_ms } = await (await cell).spawn()
      await (await cell).withdraw(agent_id)
      return { [name]: first_byte_ms, [`${name}, answered`]: answered_ms }
    },
  }
}

function verdicts(series: readonly Series[]): Verdict[] {
  const fast = ['level 1', 'level 2'].flatMap((ours) => [
    timesFaster(series, ours, 'devcontainer up', 30),
    timesFaster(series, ours, 'srt', 10),
    timesFaster(series, ours, WORKTREE, 20),
    timesFaster(series, ours, 'srt, first byte', null),
    timesFaster(series, ours, `${WORKTREE}, first byte`, null),
  ])
  return [
    ...fast,
    timesFaster(series, 'level 3', 'devcontainer up', 8),
    timesFaster(series, 'level 3', 'podman run', 1.5),
    timesFaster(series, 'level 3', 'podman run, first byte', null),
  ]
}

async function contenders(bench: Bench): Promise<Contender[]> {
  const [pit, repository] = await Promise.all([bench.pit(), bench.repository(FILES)])
  const checkout = join(bench.dir, 'checkout')
  await output('git', ['clone', '--quiet', repository, checkout])
  const scratch = join(bench.dir, 'devcontainer')
  await mkdir(scratch)
  return [
    spawnAt(pit, 'level_1', repository, 'level 1'),
    spawnAt(pit, 'level_2', repository, 'level 2'),
    spawnAt(pit, 'level_3', repository, 'level 3'),
    srt(bench.peers, checkout),
    podmanRun(bench.peers),
    worktreeAndPodman(bench.peers, repository, bench.dir),
    await devcontainerUp(bench.peers, checkout, scratch),
  ]
}

export const spawn: BenchRow = {
  name: 'spawn',
  about: `POST …/seats to the agent's first byte, ${FILES.toLocaleString('en-US')} files of 80 MB`,
  async run(bench): Promise<RowReport[]> {
    const series = await bench.contest(await contenders(bench), { rounds: bench.quick ? 12 : 60, warmups: 3 })
    return [
      {
        title: 'Spawn',
        unit: 'ms',
        series,
        verdicts: verdicts(series),
        notes: [
          'Ours: from the request on a kept-alive connection to the first byte in the log of a new seat, in a mission over 6,000 files (80 MB) whose base is warm; "answered" is the whole 201, with the isolation measured.',
          'srt and podman run: `echo` from the start of the command to its exit; "first byte" is that on its stdout. devcontainer: until `up` has returned, on a checkout that is there already and without an agent.',
        ],
      },
    ]
  },
}
