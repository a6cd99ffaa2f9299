import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { BenchPit } from './bench-pit.ts'
import { contest } from './contest.ts'
import { makeHistory } from './history.ts'
import { load, machineFacts } from './machine.ts'
import { type Options, parseOptions, UsageError, usage } from './options.ts'
import { preparePeers, removeContainers } from './peers/peers.ts'
import type { Bench, RowReport } from './row.ts'
import { atRest } from './rows/at-rest.ts'
import { checkpoint } from './rows/checkpoint.ts'
import { exec } from './rows/exec.ts'
import { heartbeats } from './rows/heartbeats.ts'
import { ledger } from './rows/ledger.ts'
import { repositorySize } from './rows/repository-size.ts'
import { revival } from './rows/revival.ts'
import { spawn } from './rows/spawn.ts'
import { thousandSeats } from './rows/thousand-seats.ts'
import { renderRow } from './table.ts'

const ROWS = [spawn, exec, repositorySize, checkpoint, revival, ledger, heartbeats, atRest, thousandSeats]

type Measured = RowReport & {
  readonly load: { readonly before: number; readonly after: number }
  readonly took_s: number
}

interface Failed {
  readonly row: string
  readonly failure: string
}

const say = (progress: string) => process.stderr.write(`bench: ${progress}\n`)

/** The bench with everything that it owns; disposing it leaves nothing behind but the cache of the peers. */
async function openBench(options: Options, abort: AbortSignal, stack: AsyncDisposableStack): Promise<Bench> {
  const dir = await mkdtemp('/var/tmp/lazarus-bench-')
  stack.defer(() => rm(dir, { recursive: true, force: true }))
  const label = `lazarus-bench=${process.pid}`
  stack.defer(() => removeContainers(label))
  const repositories = new Map<number, Promise<string>>()
  let pit: Promise<BenchPit> | null = null
  return {
    quick: options.quick,
    dir,
    abort,
    say,
    peers: await preparePeers(label, say),
    pit: () => (pit ??= BenchPit.start().then((started) => stack.use(started))),
    repository: (files) => {
      const known = repositories.get(files) ?? makeHistory(dir, files)
      repositories.set(files, known)
      return known
    },
    contest: (contenders, rounds) => contest(contenders, rounds, abort),
  }
}

/** Runs every row and tells of each as soon as it has ended. One that fails is told too, and the others go on. */
async function* measure(bench: Bench, options: Options): AsyncGenerator<Measured[] | Failed> {
  for (const row of options.rows) {
    const before = load()
    const began = performance.now()
    say(`${row.name}: ${row.about}`)
    try {
      const reports = await row.run(bench)
      const took_s = (performance.now() - began) / 1000
      yield reports.map((report) => ({ ...report, load: { before, after: load() }, took_s }))
    } catch (error) {
      bench.abort.throwIfAborted()
      yield { row: row.name, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
  }
}

function render({ load, took_s, ...report }: Measured): string {
  return `${renderRow(report)}\n\nload ${load.before.toFixed(2)} before, ${load.after.toFixed(2)} after; ${took_s.toFixed(0)} s\n\n`
}

async function main(args: readonly string[], abort: AbortSignal): Promise<void> {
  const options = parseOptions(args, ROWS)
  if (options === null) return void process.stdout.write(usage(ROWS))
  await using stack = new AsyncDisposableStack()
  const bench = await openBench(options, abort, stack)
  const machine = await machineFacts(bench.dir)
  process.stdout.write(
    `${Object.entries(machine)
      .map(([name, value]) => `- ${name}: ${value}`)
      .join('\n')}\n\n`,
  )
  const rows: Measured[] = []
  const failed: Failed[] = []
  const told = { at: new Date().toISOString(), quick: options.quick, machine, rows, failed }
  for await (const result of measure(bench, options)) {
    if (Array.isArray(result)) {
      rows.push(...result)
      process.stdout.write(result.map(render).join(''))
    } else {
      failed.push(result)
      process.exitCode = 1
      say(`${result.row} failed: ${result.failure}`)
    }
    if (options.json !== null) await writeFile(options.json, `${JSON.stringify(told, null, 2)}\n`)
  }
}

const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)))
try {
  await main(process.argv.slice(2), stop.signal)
} catch (error) {
  const wrong = error instanceof UsageError
  process.stderr.write(
    wrong ? `${error.message}\n${usage(ROWS)}` : `bench: ${error instanceof Error ? error.stack : error}\n`,
  )
  process.exitCode = wrong ? 2 : 1
}
