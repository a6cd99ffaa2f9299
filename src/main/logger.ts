import { type Logger, pino } from 'pino'
import type { Config } from '../contract/config.ts'
import type { Log } from '../kernel/log.ts'

/** The original's level names, as pino spells them. */
const LEVELS: Readonly<Record<string, string>> = { DEBUG: 'debug', INFO: 'info', WARNING: 'warn', ERROR: 'error' }

/** Field names whose values never reach a log, wherever they stand. */
const SECRETS = ['token', '*.token', 'authorization', '*.authorization', 'env', '*.env', 'environment', '*.environment']

export function createLogger(level: Config['log_level'], destination: string | 1 | 2): Log {
  const logger = pino(
    { level: LEVELS[level] ?? level, redact: { paths: SECRETS, censor: '[redacted]' }, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: destination, sync: false, mkdir: true, mode: 0o600 }),
  )
  return wrap(logger)
}

const wrap = (logger: Logger): Log => ({
  debug: (fields, message) => logger.debug(fields, message),
  info: (fields, message) => logger.info(fields, message),
  warn: (fields, message) => logger.warn(fields, message),
  error: (fields, message) => logger.error(fields, message),
  child: (fields) => wrap(logger.child(fields)),
})
