import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { execa } from 'execa'
import { LazarusError } from '../kernel/errors.ts'

export type Chunks = Uint8Array | AsyncIterable<Uint8Array> | null

export interface RunOptions {
  /** The whole environment of the process: nothing of the host's gets in. */
  readonly environment: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly stdin?: Chunks
  /** Takes the output as it comes, with back-pressure; without it stdout is collected. */
  readonly on_stdout?: (chunk: Uint8Array) => void | Promise<void>
  /** Bytes of stdout after which the process is killed. Default 64 MiB. */
  readonly max_stdout_bytes?: number
  readonly timeout_ms?: number
  readonly abort?: AbortSignal
}

export interface RunResult {
  /** null after a signal. */
  readonly exit_code: number | null
  readonly signal: string | null
  /** Empty when on_stdout took it. */
  readonly stdout: Buffer
  /** At most the last 16 KiB. */
  readonly stderr: string
  /** Why it ended: by itself, or killed by us. */
  readonly ended: 'exit' | 'timeout' | 'abort' | 'overflow'
}

const STDERR_KEPT = 16 * 1024

/**
 * Runs one short-lived program to its end: explicit environment, a session of its own, bounded output, time and
 * abort. A killed run takes its whole process group with it. A program that cannot be started is runtime_failed;
 * any exit code is an answer.
 */
export async function run(file: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  options.abort?.throwIfAborted()
  const child = start(file, args, options)
  // What the program leaves behind in its group may hold the pipes open.
  child.nodeChildProcess.once('exit', () => killGroup(child))
  const exit = child.then((result) => {
    if (child.pid === undefined) throw cannotStart(file, result.cause as NodeJS.ErrnoException)
    return { code: result.exitCode ?? null, signal: (result.signal as NodeJS.Signals | undefined) ?? null }
  })
  const { pid, stdin, stdout, stderr } = child
  return await supervise({ pid, stdin, stdout, stderr, exit }, options)
}

/** A started program, leader of a process group. */
export interface Running {
  readonly pid: number | undefined
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  readonly exit: Promise<Exit>
}

/** Output is taken as it comes and not gathered by execa; a failure is a result, as an exit code is. */
const start = (file: string, args: readonly string[], { environment, cwd }: RunOptions) =>
  execa(file, args, {
    ...(cwd === undefined ? {} : { cwd }),
    env: environment,
    extendEnv: false,
    detached: true,
    stdin: 'pipe',
    encoding: 'buffer',
    buffer: false,
    reject: false,
  })

type Bounds = Omit<RunOptions, 'environment' | 'cwd'>

/** Feeds it, takes what it says, and bounds output, time and abort. */
export async function supervise(child: Running, options: Bounds): Promise<RunResult> {
  let ended: RunResult['ended'] = 'exit'
  const end = (why: RunResult['ended']) => {
    if (ended === 'exit') ended = why
    killGroup(child)
  }
  const onAbort = () => end('abort')
  options.abort?.addEventListener('abort', onAbort, { once: true })
  const timer = options.timeout_ms === undefined ? undefined : setTimeout(() => end('timeout'), options.timeout_ms)
  try {
    const feeding = feed(child, options.stdin ?? null)
    const stderr = collectTail(child.stderr, STDERR_KEPT)
    const stdout = takeStdout(child, options, () => end('overflow')).catch((error) => {
      killGroup(child)
      throw error
    })
    const [exit, out, err] = await Promise.all([child.exit, stdout, stderr, feeding])
    return { exit_code: exit.code, signal: exit.signal, stdout: out, stderr: err, ended }
  } finally {
    clearTimeout(timer)
    options.abort?.removeEventListener('abort', onAbort)
  }
}

/** spawn that throws only LazarusErrors. A program that is not there is told by `exitOf`. */
export function launch(file: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  try {
    return spawn(file, args, options)
  } catch (cause) {
    throw cannotStart(file, cause as NodeJS.ErrnoException)
  }
}

/** The group outlives its leader, so it is signalled even when the leader has gone. */
export function killGroup(child: { readonly pid?: number | undefined }): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Gone already.
  }
}

export interface Exit {
  readonly code: number | null
  readonly signal: string | null
}

export function exitOf(child: ChildProcess, file: string): Promise<Exit> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.once('error', (cause: NodeJS.ErrnoException) => {
      if (child.pid === undefined) reject(cannotStart(file, cause))
    })
  })
}

function cannotStart(file: string, cause: NodeJS.ErrnoException): LazarusError {
  if (cause.code === 'E2BIG') {
    return new LazarusError('invalid_request', 'The command and its environment are larger than the kernel takes.', {
      remedy: 'Hand large input over by stdin or a file.',
      cause,
    })
  }
  return new LazarusError('runtime_failed', `${file} could not be started: ${cause.message}`, {
    remedy: `Install the package that has ${file}; lazarus doctor names it.`,
    cause,
  })
}

/** Writes stdin and closes it. A reader that went away early is no error: its exit code tells. */
async function feed({ stdin }: Running, chunks: Chunks): Promise<void> {
  const closed = new Promise<void>((resolve) => stdin.once('close', resolve))
  stdin.on('error', () => stdin.destroy())
  if (chunks instanceof Uint8Array) stdin.end(chunks)
  else if (chunks === null) stdin.end()
  else {
    for await (const chunk of chunks) {
      if (stdin.destroyed) break
      if (!stdin.write(chunk)) await Promise.race([new Promise<void>((r) => stdin.once('drain', r)), closed])
    }
    stdin.end()
  }
}

async function takeStdout(child: Running, options: Bounds, overflow: () => void): Promise<Buffer> {
  const most = options.max_stdout_bytes ?? 64 * 1024 ** 2
  const kept: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of child.stdout as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes > most) {
      overflow()
      break
    }
    if (options.on_stdout) await options.on_stdout(chunk)
    else kept.push(chunk)
  }
  return Buffer.concat(kept)
}

async function collectTail(stream: NodeJS.ReadableStream, most: number): Promise<string> {
  let tail = Buffer.alloc(0)
  for await (const chunk of stream) {
    tail = Buffer.concat([tail, chunk as Buffer])
    if (tail.length > most) tail = tail.subarray(tail.length - most)
  }
  return tail.toString('utf8')
}
