import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Coprocess } from './coprocess.ts'
import { type HullSpec, rlimitWords } from './hull.ts'
import { readPieces } from './pieces.ts'
import { openFifo, type Pipe } from './pipes.ts'
import { type Exit, killGroup, type RunOptions, type RunResult, supervise } from './run.ts'
import { signalName } from './signals.ts'

/** A hull whose mount table is text, and whose root lies in `root` below `cwd`. */
export interface HullRun extends Pick<HullSpec, 'network' | 'rlimits' | 'command' | 'environment'> {
  readonly cwd: string
  readonly table: string
}

/** Runs short-lived programs in hulls that a small process makes: this one is not forked. */
export class HullRunner {
  readonly #coprocess = new Coprocess(fileURLToPath(new URL('hull-runner.pl', import.meta.url)))
  readonly #directory: string

  /** In `directory`, which allows fifos, some appear for a moment. */
  constructor(directory: string) {
    this.#directory = directory
  }

  /** As `run` does it. Exit code 125 with text on stderr: the hull could not be made. */
  async run(hull: HullRun, options: Omit<RunOptions, 'cwd' | 'environment'>): Promise<RunResult> {
    options.abort?.throwIfAborted()
    const [stdin, stdout, stderr] = await this.#pipes(['write', 'read', 'read'])
    const streams = {
      stdin: new Socket({ fd: stdin!.write, readable: false, writable: true }),
      stdout: options.on_stdout ? readPieces(stdout!.read) : readSocket(stdout!.read),
      stderr: readSocket(stderr!.read),
    }
    try {
      const { pid, ended } = await this.#start(hull, [stdin!.read, stdout!.write, stderr!.write])
      const exit = ended.then(exitOf)
      exit.catch(() => killGroup({ pid })) // who would tell of its end is gone
      return await supervise({ ...streams, pid, exit }, options)
    } finally {
      for (const stream of Object.values(streams)) stream.destroy()
    }
  }

  async #pipes(ours: readonly ('read' | 'write')[]): Promise<Pipe[]> {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    const paths = ours.map(() => join(this.#directory, `fifo-${randomBytes(8).toString('hex')}`))
    await this.#coprocess.makeFifos(paths)
    return paths.map((path, i) => openFifo(path, ours[i]!))
  }

  /** Takes the descriptors: by its answer the other side has opened them. */
  async #start(hull: HullRun, fds: readonly number[]): Promise<{ pid: number; ended: Promise<number> }> {
    const variables = Object.entries(hull.environment).map(([name, value]) => `${name}=${value}`)
    const paths = fds.map((fd) => `/proc/${process.pid}/fd/${fd}`)
    const { cwd, table, network, rlimits, command } = hull
    const fields = ['hull', cwd, table, network, rlimitWords(rlimits), ...paths, String(variables.length)]
    let ended = Promise.resolve(0)
    try {
      const pid = await this.#coprocess.request([...fields, ...variables, ...command], (line) => {
        ended = this.#coprocess.ended(Number(line))
      })
      return { pid: Number(pid), ended }
    } finally {
      for (const fd of fds) closeSync(fd)
    }
  }
}

const readSocket = (fd: number): Socket => new Socket({ fd, readable: true, writable: false })

const SIGNALS = 127
const exitOf = (status: number): Exit => {
  const signal = status & SIGNALS
  return signal === 0 ? { code: status >> 8, signal: null } : { code: null, signal: signalName(128 + signal) }
}
