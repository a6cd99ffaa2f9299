import { appendFile } from 'node:fs/promises'
import { constants } from 'node:os'
import type { SandboxName } from '../../contract/ids.ts'
import type { ExecOutcome, ExecSpec, OnOutput, SandboxSpec } from '../../ports/cell-driver.ts'
import { type FakeProgram, PROGRAMS } from './programs.ts'

export interface FakeEnd {
  readonly code: number | null
  readonly signal: string | null
}

/** One pretended sandbox: the agent runs in it until it returns or is killed. */
export interface FakeSandbox {
  readonly spec: SandboxSpec
  readonly pid: number
  readonly ended: Promise<FakeEnd>
  end: FakeEnd | null
  frozen: boolean
  kill(signal: string): void
  exec(exec: ExecSpec, onOutput: OnOutput, abort: AbortSignal): Promise<ExecOutcome>
}

export const keyOf = (name: SandboxName): string => `${name.mission_id}/${name.agent_id}/${name.generation}`

/** What outlives a driver: the pretended host. A driver that is made anew over it finds its sandboxes again. */
export class FakeHost {
  readonly sandboxes = new Map<string, FakeSandbox>()
  readonly programs: Readonly<Record<string, FakeProgram>>
  /** Above every pid that Linux gives out, so that nobody signals a real process by mistake. */
  #pid = 1_000_000_000

  constructor(programs: Readonly<Record<string, FakeProgram>> = {}) {
    this.programs = { ...PROGRAMS, ...programs }
  }

  start(spec: SandboxSpec): FakeSandbox {
    const killer = new AbortController()
    const command = spec.command ?? ['sleep', 'infinity']
    const toLog: OnOutput = (_, data) => appendFile(spec.log_path, data, { mode: 0o600 })
    const agent = { command, environment: spec.environment, cwd: spec.cwd, stdin: null }
    this.#pid += 1
    const sandbox: FakeSandbox = {
      spec,
      pid: this.#pid,
      end: null,
      frozen: false,
      kill: (signal) => killer.abort(signal),
      exec: (exec, onOutput, abort) => this.#exec(exec, onOutput, abort, killer.signal),
      ended: this.#run(agent, toLog, killer.signal).then(({ exit_code, signal }) => {
        sandbox.end = { code: signal ? null : exit_code, signal }
        killer.abort('SIGKILL')
        return sandbox.end
      }),
    }
    this.sandboxes.set(keyOf(spec.name), sandbox)
    return sandbox
  }

  async #exec(exec: ExecSpec, onOutput: OnOutput, abort: AbortSignal, sandboxEnds: AbortSignal): Promise<ExecOutcome> {
    const killer = new AbortController()
    const onAbort = () => killer.abort('SIGKILL')
    for (const signal of [abort, sandboxEnds]) {
      if (signal.aborted) onAbort()
      signal.addEventListener('abort', onAbort, { once: true })
    }
    const outcome = await this.#run(exec, onOutput, killer.signal)
    return sandboxEnds.aborted ? { exit_code: null, signal: null } : outcome
  }

  async #run(exec: ExecSpec, onOutput: OnOutput, killed: AbortSignal): Promise<ExecOutcome> {
    const [file = '', ...args] = exec.command
    const program = this.programs[file]
    if (!program) return { exit_code: 127, signal: null }
    const { promise: end, resolve } = Promise.withResolvers<ExecOutcome>()
    const onKill = () => resolve(bySignal(String(killed.reason)))
    killed.addEventListener('abort', onKill, { once: true })
    if (killed.aborted) onKill()
    const write = async (stream: 'stdout' | 'stderr', text: string | Uint8Array) =>
      void (await onOutput(stream, typeof text === 'string' ? Buffer.from(text) : text))
    const process = { args, environment: exec.environment, cwd: exec.cwd, stdin: chunks(exec.stdin), write, killed }
    const returned = program(process).then((exit_code) => ({ exit_code, signal: null }))
    return await Promise.race([end, returned])
  }
}

function bySignal(signal: string): ExecOutcome {
  const number = constants.signals[signal as NodeJS.Signals] ?? constants.signals.SIGKILL
  return { exit_code: 128 + number, signal }
}

async function* chunks(stdin: ExecSpec['stdin']): AsyncGenerator<Uint8Array> {
  if (stdin instanceof Uint8Array) yield stdin
  else if (stdin !== null) yield* stdin
}
