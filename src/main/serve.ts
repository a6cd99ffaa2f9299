import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { isoTime } from '../kernel/clock.ts'
import { asLazarusError, LazarusError } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { bootId, startTime } from '../linux/process.ts'
import { type Invitation, managerIsStopping, type ServiceManager, serviceManager } from '../linux/service-manager.ts'
import { systemClock } from './chance.ts'
import { pruneCompileCache } from './compile-cache.ts'
import { compose, type RunningPit } from './compose.ts'
import { announcePit, announceStop, forgetStop, withdrawPit } from './life-signs.ts'
import { createLogger } from './logger.ts'
import { ownDirectory } from './own-directory.ts'
import type { Settings } from './settings.ts'
import { VERSION } from './version.ts'
import { startWatchdog } from './watchdog.ts'

/** A stop takes no longer, whoever holds it up: whatever is lost then, a kill would have lost as well. */
const STOP_WITHIN_MS = 4500

export interface ServeOptions {
  readonly settings: Settings
  /** Log to stderr instead of `<state_dir>/daemon.log`. */
  readonly foreground: boolean
  readonly uid: number
  readonly pid: number
  readonly invitation: Omit<Invitation, 'pid'>
  /** Told once everything listens. */
  readonly onListening?: (pit: RunningPit) => void
  /** Ends the pit: agents go on, the next start adopts them. */
  readonly stop: AbortSignal
  readonly exit: (code: number) => void
}

/** Runs the pit until `stop`. Resolves to the exit code. */
export async function serve(options: ServeOptions): Promise<number> {
  const { settings, pid } = options
  refuseRoot(options.uid)
  const stateDir = ownDirectory(settings.stateDir)
  pruneCompileCache(stateDir, systemClock.now())
  await forgetStop(stateDir)
  const log = createLogger(settings.config.log_level, options.foreground ? 2 : join(stateDir, 'daemon.log'))
  const manager = serviceManager({ ...options.invitation, pid }, log)
  const pit = await compose(settings, log)
  try {
    const { started_at, listening } = pit
    await announcePit(stateDir, { pid, start_time: startTime(pid), started_at, version: VERSION, ...listening })
    log.info({ ...listening }, 'the pit listens')
    options.onListening?.(pit)
    using _watchdog = announceReady(pit, manager, options.stop, log)
    pit.pit
      .ready()
      .catch((error) => log.warn({ err: error }, 'the host could not be probed whole'))
      // The first start of a version writes over a thousand files: not at the end, when somebody waits for it.
      .then(() => flushCompileCache())
    await stopped(options.stop)
    void manager?.tell('STOPPING=1')
    log.info({}, 'the pit stops; agents go on')
    setTimeout(() => options.exit(0), STOP_WITHIN_MS).unref()
    await sayStopped(settings, pid, log)
  } finally {
    await pit[Symbol.asyncDispose]()
  }
  return 0
}

function refuseRoot(uid: number): void {
  if (uid !== 0) return
  throw new LazarusError('forbidden', 'The pit does not run as root', {
    remedy: 'Start it as the operator: bin/as-operator bin/lazarus serve',
  })
}

/** Ready is a pit that listens and has adopted what an earlier one left; from then on the manager may watch it. */
function announceReady(pit: RunningPit, manager: ServiceManager | null, stop: AbortSignal, log: Log): Disposable {
  const watching = new DisposableStack()
  if (manager === null) return watching
  const announce = async () => {
    await pit.pit.recovered()
    await manager.tell('READY=1', `listens on ${pit.listening.socket} and ${pit.listening.url}`)
    if (!stop.aborted) watching.use(startWatchdog(manager, () => pit.pulse(), log))
  }
  announce().catch((error: unknown) => log.error({ err: error }, 'recovery failed; the pit is not ready'))
  return watching
}

/** Before the pit lets go of anything: its silence is no outage, and its address is nobody's. */
async function sayStopped(settings: Settings, pid: number, log: Log): Promise<void> {
  const { stateDir, runtimeDir } = settings
  try {
    const by = (await managerIsStopping(runtimeDir)) ? 'shutdown' : 'operator'
    await announceStop(stateDir, { pid, at: isoTime(systemClock.now()), by, boot_id: bootId() })
    await withdrawPit(stateDir)
  } catch (error) {
    log.warn({ message: asLazarusError(error).message }, 'the stop could not be noted; it will look like a death')
  }
}

function stopped(stop: AbortSignal): Promise<void> {
  if (stop.aborted) return Promise.resolve()
  return new Promise((resolve) => stop.addEventListener('abort', () => resolve(), { once: true }))
}
