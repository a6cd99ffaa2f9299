import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import type { SandboxName } from '../../contract/ids.ts'
import { LazarusError } from '../../kernel/errors.ts'
import { rlimitWords, SYSTEM_PATH } from '../../linux/hull.ts'
import type { Pipe } from '../../linux/pipes.ts'
import { isAlive, namespaceOf, processFact } from '../../linux/process.ts'
import { type Chunks, type Exit, exitOf, launch } from '../../linux/run.ts'
import { signalName, signalNumber } from '../../linux/signals.ts'
import type { Confinement, ExecOutcome, ExecSpec, OnOutput } from '../../ports/cell-driver.ts'
import type { ExecStarts } from './exec-starts.ts'
import { Gate } from './gate.ts'
import { killExecTree } from './kill-tree.ts'
import { Output } from './output.ts'
import { keyOf, type ProcessId, type SandboxRecord } from './records.ts'
import { enterArgv, inCgroupArgv, packEnvironment, seatArgv } from './scripts.ts'
import { rlimitsFor, seccompFile, type Workshop } from './workshop.ts'

export interface ExecPlace {
  readonly name: SandboxName
  readonly spec: Confinement
  readonly hull: ProcessId
  /** With it the sandbox ends. */
  readonly agent_pid: number | null
  readonly cgroup: string | null
  readonly execs: RunningExecs
}

/** The execs of one sandbox that this pit runs. */
export interface RunningExecs {
  /** Processes outside the sandbox that lead them; each leads a process group. */
  readonly leaders: Set<number>
  /** Whether the sandbox is being destroyed. */
  ended: boolean
}

const KILLED: ExecOutcome = { exit_code: 137, signal: 'SIGKILL' }

export const EXEC_STEPS = ['enter'] as const

/** Joins the namespaces of the hull; there the same inner step as the seat's own. */
export function execArgv(shop: Workshop, place: ExecPlace, exec: ExecSpec): string[] {
  const { policy } = place.spec
  const seat = seatArgv('tell', exec.cwd, Object.keys(exec.environment).length, exec.command)
  const network = policy.network === 'host' ? [] : ['--net']
  return inCgroupArgv(place.cgroup, [
    'nsenter',
    '--target',
    String(place.hull.pid),
    '--user',
    '--preserve-credentials',
    '--mount',
    '--pid',
    '--ipc',
    '--uts',
    '--cgroup',
    ...network,
    '--',
    ...enterArgv(rlimitWords(rlimitsFor(policy.limits)), shop.inner.argv(policy, seat)),
  ])
}

export async function execInSandbox(
  shop: Workshop,
  starts: ExecStarts,
  place: ExecPlace,
  exec: ExecSpec,
  onOutput: OnOutput,
  abort: AbortSignal,
): Promise<ExecOutcome> {
  shop.deps.faults?.('enter')
  const started = await starts.run(keyOf(place.name), abort, () => startExec(shop, place, exec))
  if (started === null) return KILLED
  const { child, gate } = started
  const kill = () => void killExecTree(child.pid!, place.hull.pid)
  const outputs = [
    new Output(started.stdout, (data) => onOutput('stdout', data), kill),
    new Output(started.stderr, (data) => onOutput('stderr', data), kill),
  ]
  void feedPipe(started.stdin, exec.stdin)
  abort.addEventListener('abort', kill, { once: true })
  if (abort.aborted) kill()
  try {
    const exit = await started.exit
    await Promise.all(outputs.map((output) => output.drained()))
    return outcomeOf(exit, gate, place, abort)
  } finally {
    abort.removeEventListener('abort', kill)
    place.execs.leaders.delete(child.pid!)
    started.stdin?.destroy()
    gate.close()
  }
}

function outcomeOf(exit: Exit, gate: Gate, place: ExecPlace, abort: AbortSignal): ExecOutcome {
  if (place.execs.ended || !hasAgent(place)) return { exit_code: null, signal: null }
  if (abort.aborted && exit.code === null) return KILLED
  const { ready, message } = gate.report
  if (!ready && !abort.aborted) {
    throw new LazarusError(
      'runtime_failed',
      `The command could not be started in the sandbox: ${message || `exit code ${exit.code ?? exit.signal}`}`,
      {
        remedy: 'When the seat has used up its processes, end some of them or raise limits.pids.',
      },
    )
  }
  const exit_code = exit.code ?? 128 + signalNumber(exit.signal!)
  return { exit_code, signal: signalName(exit_code) }
}

/** In the pid namespace of a living hull this pid can be nobody but the agent. */
export const hasAgent = ({ hull, agent_pid }: Pick<SandboxRecord, 'agent_pid'> & { hull: ProcessId }): boolean =>
  agent_pid !== null &&
  isAlive(hull.pid, hull.start_time) &&
  processFact(hull.pid)?.exiting === false &&
  namespaceOf(agent_pid, 'pid') === namespaceOf(hull.pid, 'pid')

interface StartedExec {
  readonly child: ChildProcess
  readonly exit: Promise<Exit>
  readonly gate: Gate
  readonly stdout: number
  readonly stderr: number
  readonly stdin: Writable | null
}

/** Detached: the exec has a session of its own, out of reach of the terminal that the pit may sit on. */
async function startExec(shop: Workshop, place: ExecPlace, exec: ExecSpec): Promise<StartedExec> {
  const { pipes } = shop
  const [stdout, stderr] = [await pipes.take('read'), await pipes.take('read')]
  const stdin = exec.stdin === null ? null : await pipes.take('write')
  const filter = seccompFile(shop, place.spec.policy)
  const filterFd = filter === null ? null : openSync(filter, 'r')
  const [file, ...args] = execArgv(shop, place, exec)
  try {
    const child = launch(file!, args, {
      env: { PATH: SYSTEM_PATH, ...packEnvironment(exec.environment) },
      detached: true,
      stdio: [stdin?.read ?? 'ignore', stdout.write, stderr.write, 'pipe', filterFd ?? 'ignore'],
    })
    const exit = exitOf(child, file!)
    if (child.pid === undefined) await exit
    place.execs.leaders.add(child.pid!)
    const gate = new Gate(child.stdio[3] as Readable)
    child.once('exit', () => gate.giveUp())
    return {
      child,
      exit,
      gate,
      stdout: stdout.read,
      stderr: stderr.read,
      stdin: stdin && writer(stdin),
    }
  } catch (error) {
    for (const fd of [stdout.read, stderr.read, stdin?.write]) if (fd !== undefined) closeSync(fd)
    throw error
  } finally {
    for (const fd of [stdout.write, stderr.write, stdin?.read, filterFd])
      if (fd !== undefined && fd !== null) closeSync(fd)
  }
}

const writer = (pipe: Pipe): Writable => new Socket({ fd: pipe.write, readable: false, writable: true })

/** A command that does not read its input is no error. */
async function feedPipe(stdin: Writable | null, chunks: Chunks): Promise<void> {
  if (stdin === null) return
  stdin.on('error', () => stdin.destroy())
  const closed = new Promise<void>((done) => stdin.once('close', done))
  const pieces = chunks instanceof Uint8Array ? [chunks] : (chunks ?? [])
  try {
    for await (const piece of pieces) {
      if (stdin.destroyed) return
      if (!stdin.write(piece)) await Promise.race([new Promise<void>((go) => stdin.once('drain', go)), closed])
    }
    stdin.end()
  } catch {
    stdin.destroy()
  }
}
