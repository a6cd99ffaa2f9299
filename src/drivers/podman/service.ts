import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Docker from 'dockerode'
import { LazarusError } from '../../kernel/errors.ts'
import { isAlive, sendSignal, startTime } from '../../linux/process.ts'
import { endService, readServiceRecord, type ServiceRecord, writeServiceRecord } from './service-record.ts'

export interface ServiceOptions {
  /** The socket of an API that somebody else runs, for example from DOCKER_HOST; null: we run one. */
  readonly socket: string | null
  /** A private directory for socket, record and log; short, because socket paths are. */
  readonly directory: string
  /** The directory of the driver, named in the record. */
  readonly root: string
  /** PATH, HOME and XDG_RUNTIME_DIR for Podman; nothing else is handed on. */
  readonly environment: Readonly<Record<string, string>>
}

export interface PodmanService {
  readonly socket: string
  /** false when it was ours and has died. */
  lives(): boolean
  /** Ends the service when it is ours. Containers go on: each has a monitor of its own. */
  close(): void
}

const START_TIMEOUT_MS = 60_000
/** Without a call for so long it ends by itself: a pit that was killed for good leaves none for ever. */
const IDLE_SECONDS = 1800

/** Finds the API, or starts one that outlives this process, so that a pit that was killed finds it again. */
export async function openService(options: ServiceOptions): Promise<PodmanService> {
  if (options.socket) return { socket: options.socket, lives: () => true, close() {} }
  mkdirSync(options.directory, { recursive: true, mode: 0o700 })
  const socket = join(options.directory, 'podman.sock')
  const record = readServiceRecord(options.directory)
  if (record && isAlive(record.pid, record.start_time)) {
    if (await answers(socket)) return ours(socket, options.directory, record)
    sendSignal(record.pid, 'SIGKILL')
  }
  return await start(socket, options)
}

function ours(socket: string, directory: string, record: ServiceRecord): PodmanService {
  const lives = () => isAlive(record.pid, record.start_time)
  return {
    socket,
    lives,
    close: () => endService(directory, record),
  }
}

async function start(socket: string, options: ServiceOptions): Promise<PodmanService> {
  rmSync(socket, { force: true })
  const log = openSync(logPath(options.directory), 'w', 0o600)
  const child = spawn(
    'podman',
    ['--log-level', 'error', 'system', 'service', '--time', String(IDLE_SECONDS), `unix://${socket}`],
    {
      detached: true,
      env: options.environment,
      cwd: '/',
      stdio: ['ignore', log, log],
    },
  )
  closeSync(log)
  const failed = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code) => resolve(`it ended with ${code}: ${readLog(options.directory)}`))
  })
  if (child.pid === undefined) throw cannotStart(await failed)
  // Before it answers: a pit that is killed here finds it again, too.
  const record = { pid: child.pid, start_time: startTime(child.pid) ?? '', root: options.root }
  writeServiceRecord(options.directory, record)
  const settled = new AbortController()
  const reason = await Promise.race([failed, untilAnswers(socket, settled.signal)])
  settled.abort()
  child.unref()
  if (reason === null) return ours(socket, options.directory, record)
  if (isAlive(record.pid, record.start_time)) sendSignal(record.pid, 'SIGKILL')
  throw cannotStart(reason)
}

const logPath = (directory: string) => join(directory, 'podman.log')

function readLog(directory: string): string {
  try {
    return readFileSync(logPath(directory), 'utf8').trim().slice(-2000)
  } catch {
    return 'its log is gone'
  }
}

/** Ends with `settled` too: a poll that goes on would keep the process of the pit, or of the doctor, from its end. */
async function untilAnswers(socket: string, settled: AbortSignal): Promise<string | null> {
  const deadline = performance.now() + START_TIMEOUT_MS
  while (performance.now() < deadline && !settled.aborted) {
    if (await answers(socket)) return null
    await new Promise((go) => setTimeout(go, 5))
  }
  return `it did not answer within ${START_TIMEOUT_MS / 1000} s`
}

const answers = (socket: string): Promise<boolean> =>
  new Docker({ socketPath: socket, timeout: 2000 }).ping().then(
    () => true,
    () => false,
  )

function cannotStart(reason: string): LazarusError {
  return new LazarusError('isolation_unavailable', `The API of Podman could not be started: ${reason}`, {
    remedy: reason.includes('ENOENT')
      ? 'Install podman: bin/setup'
      : 'Try podman info as the operator; lazarus doctor names the usual causes.',
  })
}
