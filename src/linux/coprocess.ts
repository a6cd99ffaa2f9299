import type { ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { LazarusError } from '../kernel/errors.ts'
import { SYSTEM_PATH } from './hull.ts'
import { launch } from './run.ts'

type Answer = (line: string | null) => void

/** What is known of a process that it started. */
interface Started {
  readonly resolve: (status: number) => void
  readonly reject: (error: LazarusError) => void
}

const LIBRARIES = ['hull.pl', 'coprocess.pl'].map((name) => fileURLToPath(new URL(name, import.meta.url)))

/**
 * A small program that starts others for this process: the time that a fork takes grows with the memory of who forks.
 * Started at first use, and again when it has died. It keeps this process from ending only while something is asked of
 * it. The protocol stands in coprocess.pl.
 */
export class Coprocess {
  readonly #program: string
  readonly #onEnd: (pid: number) => void
  #child: ChildProcess | null = null
  #last = ''
  #requests = 0
  readonly #waiting = new Map<string, Answer>()
  readonly #started = new Map<number, Started>()

  /** `onEnd` is told of each process that it started and nobody waits for. */
  constructor(program: string, onEnd: (pid: number) => void = () => {}) {
    this.#program = program
    this.#onEnd = onEnd
  }

  /** What it answers; throws when it says why not. `first` is called with a good answer before anything else is heard. */
  async request(fields: readonly string[], first: (line: string) => void = () => {}): Promise<string> {
    this.#requests += 1
    const id = String(this.#requests)
    this.#child ??= this.#start()
    const answered = new Promise<string | null>((resolve) => {
      this.#waiting.set(id, (line) => {
        if (line !== null && !line.startsWith('-')) first(line)
        resolve(line)
      })
    })
    this.#child.stdin!.write([fields.length + 1, id, ...fields, ''].join('\0'))
    this.#hold()
    const answer = await answered
    this.#hold()
    if (answer === null || answer.startsWith('-')) throw refused(answer?.slice(2) || this.#last)
    return answer
  }

  async makeFifos(paths: readonly string[]): Promise<void> {
    await this.request(['fifos', ...paths])
  }

  /** The wait status of a process that it has just started: to be asked for in `first`. */
  ended(pid: number): Promise<number> {
    return new Promise<number>((resolve, reject) => {
      this.#started.set(pid, { resolve, reject })
    }).finally(() => this.#hold())
  }

  #start(): ChildProcess {
    const child = launch('perl', ['-w', this.#program, process.arch, ...LIBRARIES], {
      cwd: '/',
      env: { PATH: SYSTEM_PATH },
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    child.once('error', (error) => this.#gone(child, error.message))
    child.once('exit', (code, signal) => this.#gone(child, `it ended with ${code ?? signal}. ${this.#last}`))
    child.stdin!.on('error', () => {})
    child.stderr!.on('data', (text) => {
      this.#last = String(text).trim().slice(-500)
    })
    createInterface(child.stdout!).on('line', (line) => this.#hear(line))
    child.unref()
    return child
  }

  #hear(line: string): void {
    const [word, ...rest] = line.split(' ')
    if (word !== 'ended') {
      this.#answer(word!, rest.join(' '))
      return
    }
    const [pid, status] = rest.map(Number)
    const started = this.#started.get(pid!)
    this.#started.delete(pid!)
    if (started) started.resolve(status!)
    else this.#onEnd(pid!)
  }

  #answer(id: string, line: string | null): void {
    const answer = this.#waiting.get(id)
    this.#waiting.delete(id)
    answer?.(line)
  }

  #gone(child: ChildProcess, why: string): void {
    if (this.#child !== child) return
    this.#child = null
    this.#last = why
    for (const id of [...this.#waiting.keys()]) this.#answer(id, null)
    for (const { reject } of this.#started.values()) reject(refused(why))
    this.#started.clear()
  }

  /** While somebody waits it counts as work of this process. */
  #hold(): void {
    const held = this.#waiting.size + this.#started.size > 0
    for (const stream of [this.#child?.stdin, this.#child?.stdout, this.#child?.stderr] as (Socket | null)[])
      if (held) stream?.ref()
      else stream?.unref()
  }
}

const refused = (why: string): LazarusError =>
  new LazarusError('runtime_failed', `A program could not be started: ${why}`, {
    remedy: 'lazarus doctor says what this host lacks; perl-base must be there.',
  })
