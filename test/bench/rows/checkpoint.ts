import { join } from 'node:path'
import type { BenchPit, Cell } from '../bench-pit.ts'
import type { Contender, Series } from '../contest.ts'
import { Archivers } from '../peers/archivers.ts'
import { type Bench, type BenchRow, find, type RowReport, timesFaster, type Verdict } from '../row.ts'
import { quantile } from '../statistics.ts'
import { makeTree, type Tree } from '../tree.ts'

const FILES = 6000
const CHANGED = 20

/** A seat over the same files as the tree of the peers. */
class Author {
  readonly cell: Cell
  readonly agent_id: string

  private constructor(cell: Cell, agent_id: string) {
    this.cell = cell
    this.agent_id = agent_id
  }

  static async start(pit: BenchPit, repository: string): Promise<Author> {
    const cell = await pit.openMission('level_2', repository)
    return new Author(cell, await cell.seat(['sleep', 'infinity']))
  }

  /** Appends to the first `files` in steps through the whole tree; the same ones each time. */
  async change(files: number): Promise<void> {
    const step = Math.floor(FILES / files)
    const script = `i=0; while [ $i -lt ${files * step} ]; do echo more >>src/$((i / 100))/file-$i.txt; i=$((i + ${step})); done`
    const done = await this.cell.exec(this.agent_id, ['sh', '-c', script])
    if (done.exit_code !== 0) throw new Error(`the files could not be changed: ${JSON.stringify(done)}`)
  }

  /** Milliseconds until the checkpoint is durable. */
  async checkpoint(): Promise<number> {
    const began = performance.now()
    await this.cell.checkpoint(this.agent_id)
    return performance.now() - began
  }
}

async function someChanged(bench: Bench, pit: BenchPit, tree: Tree): Promise<RowReport> {
  const author = await Author.start(pit, await bench.repository(FILES))
  const archivers = await Archivers.open(bench.dir, tree)
  const ours: Contender = {
    name: 'checkpoint',
    sample: async () => {
      await author.change(CHANGED)
      await tree.change(CHANGED)
      return author.checkpoint()
    },
  }
  const contenders = [ours, archivers.gnuTar(), archivers.restic(), archivers.tarFs()]
  const series = await bench.contest(contenders, { rounds: bench.quick ? 6 : 30, warmups: 2 })
  return {
    title: `Checkpoint, ${CHANGED} of ${FILES.toLocaleString('en-US')} files changed, level 2`,
    unit: 'ms',
    series,
    verdicts: [
      timesFaster(series, 'checkpoint', 'GNU tar', 8),
      timesFaster(series, 'checkpoint', 'restic, incremental', 30),
      timesFaster(series, 'checkpoint', 'tar-fs', 80),
    ],
    notes: [
      'Ours: POST …/checkpoints of a running seat until it is durable (fsync, hash and manifest included); the files are changed by an exec before. The peers archive a clone with the same files and changes; of them only restic makes its result durable.',
    ],
  }
}

/** Every file is in the layer; one more change makes the whole archive anew. */
async function allChanged(bench: Bench, pit: BenchPit, tree: Tree): Promise<RowReport> {
  const author = await Author.start(pit, await bench.repository(FILES))
  const archivers = await Archivers.open(join(bench.dir), tree)
  await author.change(FILES)
  await tree.change(FILES)
  const ours: Contender = {
    name: 'checkpoint',
    sample: async () => {
      await author.change(CHANGED)
      return author.checkpoint()
    },
  }
  const series = await bench.contest([ours, archivers.gnuTarZstd()], { rounds: bench.quick ? 4 : 15, warmups: 1 })
  await author.cell.destroy()
  return {
    title: `Checkpoint, all ${FILES.toLocaleString('en-US')} files changed, level 2`,
    unit: 'ms',
    series,
    verdicts: [slower(series, 'checkpoint', 'GNU tar | zstd -1', 1.3)],
    notes: ['As above. The agent is stopped for as long as the archive is written.'],
  }
}

function slower(series: readonly Series[], ours: string, peer: string, target: number): Verdict {
  const value = quantile(find(series, ours).samples, 0.5) / quantile(find(series, peer).samples, 0.5)
  return { what: `time of ${ours} against ${peer}`, value, unit: '×', bound: 'at most', target }
}

async function restored(bench: Bench, pit: BenchPit, tree: Tree): Promise<RowReport> {
  const author = await Author.start(pit, await bench.repository(FILES))
  const archivers = await Archivers.open(bench.dir, tree)
  const ours: Contender = {
    name: 'restore',
    sample: async () => {
      await author.change(CHANGED)
      const { checkpoint_id } = await author.cell.checkpoint(author.agent_id) // the retention takes the old ones
      await author.change(CHANGED)
      const began = performance.now()
      await author.cell.restore(author.agent_id, checkpoint_id)
      return performance.now() - began
    },
  }
  const contenders = [ours, archivers.gnuTarExtract(), archivers.resticRestore()]
  const series = await bench.contest(contenders, { rounds: bench.quick ? 5 : 20, warmups: 2 })
  await author.cell.destroy()
  return {
    title: 'Restore, level 2',
    unit: 'ms',
    series,
    verdicts: [timesFaster(series, 'restore', 'GNU tar -x', 4), timesFaster(series, 'restore', 'restic restore', 30)],
    notes: [
      'Ours: POST …/restore until the next generation runs over the restored layer; the checkpoint of the present that is taken first, and the end of the old sandbox, are part of it. The peers extract the tree onto the same file system.',
    ],
  }
}

export const checkpoint: BenchRow = {
  name: 'checkpoint',
  about: `checkpoints with ${CHANGED} and all files changed, and their restore`,
  async run(bench): Promise<RowReport[]> {
    const pit = await bench.pit()
    const tree = await makeTree(bench.dir, await bench.repository(FILES))
    const reports: RowReport[] = []
    for (const part of [someChanged, restored, allChanged]) reports.push(await part(bench, pit, tree))
    return reports
  },
}
