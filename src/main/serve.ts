import { join } from 'node:path'
import { LazarusError } from '../kernel/errors.ts'
import { writeAtomic } from '../store/atomic-file.ts'
import { systemClock } from './chance.ts'
import { pruneCompileCache } from './compile-cache.ts'
import { compose, type RunningPit } from './compose.ts'
import { createLogger } from './logger.ts'
import { ownDirectory } from './own-directory.ts'
import type { Settings } from './settings.ts'

export interface ServeOptions {
  readonly settings: Settings
  /** Log to stderr instead of `<state_dir>/daemon.log`. */
  readonly foreground: boolean
  readonly uid: number
  readonly pid: number
  /** Told once everything listens. */
  readonly onListening?: (pit: RunningPit) => void
  /** Ends the pit: agents go on, the next start adopts them. */
  readonly stop: AbortSignal
}

/** Runs the pit until `stop`. Resolves to the exit code. */
export async function serve(options: ServeOptions): Promise<number> {
  const { settings } = options
  if (options.uid === 0) {
    throw new LazarusError('forbidden', 'The pit does not run as root', {
      remedy: 'Start it as the operator: bin/as-operator bin/lazarus serve',
    })
  }
  ownDirectory(settings.stateDir)
  pruneCompileCache(settings.stateDir, systemClock.now())
  const log = createLogger(settings.config.log_level, options.foreground ? 2 : join(settings.stateDir, 'daemon.log'))
  const pit = await compose(settings, log)
  try {
    await writeAtomic(join(settings.stateDir, 'pit.json'), JSON.stringify({ pid: options.pid, ...pit.listening }), {
      durable: false,
    })
    log.info({ ...pit.listening }, 'the pit listens')
    options.onListening?.(pit)
    pit.pit.ready().catch((error) => log.warn({ err: error }, 'the host could not be probed whole'))
    await stopped(options.stop)
    log.info({}, 'the pit stops; agents go on')
  } finally {
    await pit[Symbol.asyncDispose]()
  }
  return 0
}

function stopped(stop: AbortSignal): Promise<void> {
  if (stop.aborted) return Promise.resolve()
  return new Promise((resolve) => stop.addEventListener('abort', () => resolve(), { once: true }))
}
