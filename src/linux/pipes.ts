import { closeSync, constants, mkdirSync, openSync, readdirSync, rmSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'

/** Descriptors of one pipe; whoever takes it closes both. */
export interface Pipe {
  readonly read: number
  readonly write: number
}

const BATCH = 16
const { O_RDONLY, O_WRONLY, O_NONBLOCK } = constants

type MakeFifos = (paths: readonly string[]) => Promise<void>

/**
 * Real pipes. What Node calls a pipe is a socket pair, and a program that opens /dev/stderr fails on a socket. Node
 * cannot make pipes, so fifos are made ahead in batches, opened on both sides and unlinked at once.
 */
export class Pipes {
  readonly #directory: string
  readonly #makeFifos: MakeFifos
  #ready: string[] = []
  #made = 0
  #filling: Promise<void> | null = null

  /** The directory belongs to this instance alone; what an earlier one left there is removed. */
  constructor(directory: string, makeFifos: MakeFifos) {
    this.#directory = directory
    this.#makeFifos = makeFifos
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    for (const name of readdirSync(directory)) rmSync(join(directory, name), { force: true })
  }

  /** `ours` is the end that this process uses itself: it does not block, the other one does. */
  async take(ours: 'read' | 'write' | 'none'): Promise<Pipe> {
    while (this.#ready.length === 0) await this.#fill()
    const fifo = this.#ready.pop()!
    if (this.#ready.length < BATCH / 2) void this.#fill().catch(() => {})
    return openFifo(fifo, ours)
  }

  #fill(): Promise<void> {
    this.#filling ??= this.#make().finally(() => {
      this.#filling = null
    })
    return this.#filling
  }

  async #make(): Promise<void> {
    const names = Array.from({ length: BATCH }, () => join(this.#directory, `${process.pid}-${this.#made++}`))
    await this.#makeFifos(names)
    this.#ready.push(...names)
  }
}

/** Takes its name away. A first reader that does not block lets every later open return at once. */
export function openFifo(fifo: string, ours: 'read' | 'write' | 'none'): Pipe {
  const first = openSync(fifo, O_RDONLY | O_NONBLOCK)
  try {
    const write = openSync(fifo, O_WRONLY | (ours === 'write' ? O_NONBLOCK : 0))
    if (ours === 'read') return { read: first, write }
    const read = openSync(fifo, O_RDONLY)
    closeSync(first)
    return { read, write }
  } finally {
    unlinkSync(fifo)
  }
}
