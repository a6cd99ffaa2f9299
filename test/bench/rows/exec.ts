import type { BenchPit, Cell, Level } from '../bench-pit.ts'
import type { Contender } from '../contest.ts'
import { podmanExec } from '../peers/podman.ts'
import { type BenchRow, type RowReport, timesFaster } from '../row.ts'

/** `POST …/exec true` into a seat that runs for the whole contest. */
function execAt(pit: BenchPit, level: Level, repository: string, name: string): Contender {
  let seat: Promise<{ cell: Cell; agent_id: string }> | null = null
  const open = async () => {
    const cell = await pit.openMission(level, repository)
    return { cell, agent_id: (await cell.spawn()).agent_id }
  }
  return {
    name,
    sample: async () => {
      seat ??= open()
      const { cell, agent_id } = await seat
      const began = performance.now()
      const { exit_code } = await cell.exec(agent_id, ['true'])
      if (exit_code !== 0) throw new Error(`true ended with ${exit_code}`)
      return performance.now() - began
    },
  }
}

export const exec: BenchRow = {
  name: 'exec',
  about: 'POST …/exec true',
  async run(bench): Promise<RowReport[]> {
    const [pit, repository] = await Promise.all([bench.pit(), bench.repository(6000)])
    const contenders = [
      execAt(pit, 'level_1', repository, 'level 1'),
      execAt(pit, 'level_2', repository, 'level 2'),
      execAt(pit, 'level_3', repository, 'level 3'),
      podmanExec(bench.peers),
    ]
    const series = await bench.contest(contenders, { rounds: bench.quick ? 30 : 200, warmups: 5 })
    return [
      {
        title: 'Exec',
        unit: 'ms',
        series,
        verdicts: [
          timesFaster(series, 'level 1', 'podman exec', 5),
          timesFaster(series, 'level 2', 'podman exec', 5),
          timesFaster(series, 'level 3', 'podman exec', 1.2),
        ],
        notes: [
          'From the request to the whole answer with exit code and output; the peer from the start of `podman exec` to its exit.',
        ],
      },
    ]
  },
}
