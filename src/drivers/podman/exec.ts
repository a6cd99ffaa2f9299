import { randomInt } from 'node:crypto'
import { constants } from 'node:os'
import type { Duplex } from 'node:stream'
import type { ExecOutcome, ExecSpec, OnOutput } from '../../ports/cell-driver.ts'
import type { ExecStarts } from '../shared/exec-starts.ts'
import { killMarked } from './cell-processes.ts'
import type { PodmanClient } from './client.ts'
import { feed, receive } from './conversation.ts'
import type { Step } from './deps.ts'
import { isGone, isImproper, translate } from './errors.ts'
import { frames } from './frames.ts'
import { environmentLines, type Launch, launchArguments, toDrop } from './launch.ts'

export interface ExecTarget {
  readonly container: string
  /** Host pid of the container's first process. */
  readonly init: number
  /** Whether the container still runs. */
  readonly alive: () => boolean
  /** "NAME=value" lines that the container was made with. */
  readonly environment: readonly string[]
  readonly limits: Pick<Launch, 'limits' | 'memory_by_cgroup'>
  readonly starts: ExecStarts
  /** Told the id of the exec as soon as its process exists. */
  readonly started: (exec: string) => void
}

const LAG_MS = 2_000

const AWAY: ExecOutcome = { exit_code: null, signal: null }
const KILLED: ExecOutcome = { exit_code: 137, signal: 'SIGKILL' }

/** Runs one command beside the agent: Podman joins it to the same namespaces, seccomp filter, cgroup and mounts. */
export async function runExec(
  client: PodmanClient,
  target: ExecTarget,
  exec: ExecSpec,
  onOutput: OnOutput,
  abort: AbortSignal,
  step: Step,
): Promise<ExecOutcome> {
  const mark = randomInt(2 ** 20, 2 ** 46)
  try {
    step('exec.create')
    const start = async () => {
      const id = await onceProper(target, () => client.createExec(target.container, request(target, exec, mark)))
      if (abort.aborted) return null
      step('exec.start')
      const stream = await onceProper(target, () => client.startExec(id))
      target.started(id)
      return { id, stream }
    }
    const started = await target.starts.run(target.container, abort, start)
    if (started === null) return KILLED
    const { id, stream } = started
    using _ = target.starts.track(target.container, () => untilInside(client, id))
    await converse(stream, target, exec, onOutput, abort, mark)
    if (abort.aborted) return target.alive() ? KILLED : AWAY
    return await outcomeOf(client, id, target)
  } catch (error) {
    if (isGone(error) || !target.alive()) return AWAY
    throw translate(error, `The command ${JSON.stringify(exec.command[0])} could not be run in the cell`)
  }
}

/**
 * Podman's books lag behind the kernel: right after the start it may call the state of a container improper that runs.
 * One that does not is told apart by its process, not by these words.
 */
async function onceProper<T>({ alive }: ExecTarget, call: () => Promise<T>): Promise<T> {
  for (const deadline = performance.now() + LAG_MS; ; ) {
    try {
      return await call()
    } catch (error) {
      if (!isImproper(error) || !alive() || performance.now() > deadline) throw error
      await new Promise((go) => setTimeout(go, 10))
    }
  }
}

function request(target: ExecTarget, exec: ExecSpec, mark: number) {
  return {
    command: launchArguments({
      ...target.limits,
      command: exec.command,
      cwd: exec.cwd,
      drop: toDrop(target.environment, exec.environment),
      gate: false,
      mark,
    }),
    environment: environmentLines(exec.environment),
    stdin: exec.stdin !== null,
  }
}

/** Until the stream ends; after an abort, or when the consumer fails, until nothing marked is left, however often the tree forks meanwhile. */
async function converse(
  stream: Duplex,
  target: ExecTarget,
  exec: ExecSpec,
  onOutput: OnOutput,
  abort: AbortSignal,
  mark: number,
): Promise<void> {
  const kill = () => void killMarked(mark, target.init)
  let again: NodeJS.Timeout | undefined
  const onAbort = () => {
    kill()
    again = setInterval(kill, 10)
  }
  abort.addEventListener('abort', onAbort, { once: true })
  if (abort.aborted) onAbort()
  let whole = false
  try {
    const received = receive(stream)
    void feed(stream, exec.stdin).catch(() => stream.destroy())
    for await (const frame of frames(received)) if (!abort.aborted) await onOutput(frame.stream, frame.data)
    whole = true
  } finally {
    abort.removeEventListener('abort', onAbort)
    clearInterval(again)
    if (abort.aborted || !whole) kill()
    stream.destroy()
  }
}

/** Podman answers before it has brought the command in; where the cell is frozen meanwhile, that fails. */
async function untilInside(client: PodmanClient, id: string): Promise<void> {
  for (;;) {
    const { Pid, Running, ExitCode } = await client.inspectExec(id)
    if (Pid > 0 || (!Running && ExitCode !== null)) return
    await new Promise((go) => setTimeout(go, 2))
  }
}

async function outcomeOf(client: PodmanClient, id: string, target: ExecTarget): Promise<ExecOutcome> {
  for (;;) {
    const { Running, ExitCode } = await client.inspectExec(id)
    if (!target.alive()) return AWAY
    if (!Running && ExitCode !== null) return { exit_code: ExitCode, signal: signalOf(ExitCode) }
    // The stream is closed a moment before the exit code is recorded.
    await new Promise((go) => setTimeout(go, 2))
  }
}

const SIGNALS = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/** The name of the signal in an exit code of 129 to 192. */
export const signalOf = (code: number): string | null => (code > 128 ? (SIGNALS.get(code - 128) ?? null) : null)
