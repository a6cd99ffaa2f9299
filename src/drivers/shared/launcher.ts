import type { ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { LazarusError } from '../../kernel/errors.ts'
import { HULL_PROGRAM, type HullSpec, rlimitWords, SYSTEM_PATH } from '../../linux/hull.ts'
import { launch } from '../../linux/run.ts'

const PROGRAM = fileURLToPath(new URL('shim.pl', import.meta.url))

/** One sandbox to start. Descriptors are this process's own; the shim opens them anew. */
export interface LaunchRequest extends Pick<HullSpec, 'network' | 'rlimits' | 'command' | 'environment'> {
  readonly skeleton: string
  readonly table: string
  readonly cgroup: string | null
  readonly exit_record: string
  readonly log_path: string
  readonly log: { readonly max_bytes: number; readonly files: number }
  readonly report_fd: number
  readonly word_fd: number
  readonly seccomp: string | null
}

export interface Launched {
  readonly shim_pid: number
  readonly hull_pid: number
}

type Answer = (line: string | null) => void

/**
 * Has sandboxes started by a small process that lives as long as the pit: the time that a fork takes grows with the
 * memory of who forks. Started at first use, and again when it has died; the shims that it started live on.
 */
export class Launcher {
  #child: ChildProcess | null = null
  #last = ''
  #requests = 0
  readonly #waiting = new Map<string, Answer>()
  #onEnd: (shim_pid: number) => void = () => {}

  /** Tells the end of each shim of which this process had the start. */
  watch(onEnd: (shim_pid: number) => void): void {
    this.#onEnd = onEnd
  }

  async launch(request: LaunchRequest): Promise<Launched> {
    this.#requests += 1
    const id = String(this.#requests)
    this.#child ??= this.#start()
    const child = this.#child
    const answered = new Promise<string | null>((resolve) => this.#waiting.set(id, resolve))
    const fields = fieldsOf(id, request)
    child.stdin!.write([fields.length, ...fields, ''].join('\0'))
    hold(child, true)
    const answer = await answered
    if (this.#waiting.size === 0) hold(child, false)
    if (answer === null || answer.startsWith('-')) throw cannotStart(answer?.slice(2) ?? this.#last)
    const [shim_pid, hull_pid] = answer.split(' ').map(Number)
    return { shim_pid: shim_pid!, hull_pid: hull_pid! }
  }

  #start(): ChildProcess {
    const child = launch('perl', ['-w', PROGRAM, process.arch, HULL_PROGRAM], {
      cwd: '/',
      env: { PATH: SYSTEM_PATH },
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const gone = (why: string) => {
      this.#last = why
      if (this.#child === child) this.#child = null
      for (const [id, answer] of this.#waiting) this.#answer(id, answer, null)
    }
    child.once('error', (error) => gone(error.message))
    child.once('exit', (code, signal) => gone(`the launcher ended with ${code ?? signal}: ${this.#last}`))
    child.stdin!.on('error', () => {})
    child.stderr!.on('data', (text) => {
      this.#last = String(text).trim().slice(-500)
    })
    createInterface(child.stdout!).on('line', (line) => {
      const id = line.slice(0, line.indexOf(' '))
      if (id === 'ended') this.#onEnd(Number(line.slice(id.length + 1)))
      const answer = this.#waiting.get(id)
      if (answer) this.#answer(id, answer, line.slice(id.length + 1))
    })
    child.unref()
    return child
  }

  #answer(id: string, answer: Answer, line: string | null): void {
    this.#waiting.delete(id)
    answer(line)
  }
}

/** Whether it keeps this process from ending. */
function hold(child: ChildProcess, held: boolean): void {
  for (const stream of [child.stdin, child.stdout, child.stderr] as (Socket | null)[])
    if (held) stream?.ref()
    else stream?.unref()
}

/** In the order that shim.pl knows. */
function fieldsOf(id: string, request: LaunchRequest): readonly string[] {
  const variables = Object.entries(request.environment).map(([name, value]) => `${name}=${value}`)
  return [
    id,
    request.skeleton,
    request.table,
    request.network,
    rlimitWords(request.rlimits),
    request.cgroup ?? '',
    request.exit_record,
    request.log_path,
    String(request.log.max_bytes),
    String(request.log.files),
    `/proc/${process.pid}/fd/${request.report_fd}`,
    `/proc/${process.pid}/fd/${request.word_fd}`,
    request.seccomp ?? '',
    String(variables.length),
    ...variables,
    ...request.command,
  ]
}

const cannotStart = (why: string): LazarusError =>
  new LazarusError('spawn_failed', `The sandbox could not be started: ${why}`, {
    remedy: 'lazarus doctor says what this host can do and how to mend it.',
  })
