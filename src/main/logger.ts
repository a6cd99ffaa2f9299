import { renameSync, statSync } from 'node:fs'
import { type DestinationStream, type Logger, pino } from 'pino'
import type { Config } from '../contract/config.ts'
import type { Log } from '../kernel/log.ts'

/** The original's level names, as pino spells them. */
const LEVELS: Readonly<Record<string, string>> = { DEBUG: 'debug', INFO: 'info', WARNING: 'warn', ERROR: 'error' }

/** Field names whose values never reach a log, wherever they stand. */
const SECRETS = ['token', '*.token', 'authorization', '*.authorization', 'env', '*.env', 'environment', '*.environment']

const MIB = 1024 ** 2
/** Of a log file; with the one before, the log takes twice that. */
export const LOG_BYTES = 32 * MIB
/** Kept in memory while the log cannot be written; what comes beyond is dropped. */
const WAITING_BYTES = 8 * MIB

export function createLogger(level: Config['log_level'], destination: string | 1 | 2, log_bytes = LOG_BYTES): Log {
  const logger = pino(
    {
      level: LEVELS[level] ?? level,
      redact: { paths: SECRETS, censor: '[redacted]' },
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    open(destination, log_bytes),
  )
  return wrap(logger)
}

/** A file that is full becomes `<path>.1`, in place of the one before. A log that cannot be written ends nothing. */
function open(destination: string | 1 | 2, log_bytes: number): DestinationStream {
  const stream = pino.destination({
    dest: destination,
    sync: false,
    mkdir: true,
    mode: 0o600,
    maxLength: WAITING_BYTES,
  })
  stream.on('error', () => {})
  if (typeof destination !== 'string') return stream
  let size = statSync(destination, { throwIfNoEntry: false })?.size ?? 0
  stream.on('write', (bytes: number) => {
    size += bytes
    if (size < log_bytes) return
    size = 0
    try {
      renameSync(destination, `${destination}.1`)
    } catch {
      // Somebody moved it away; a new one is opened all the same.
    }
    stream.reopen()
  })
  return stream
}

const wrap = (logger: Logger): Log => ({
  debug: (fields, message) => logger.debug(fields, message),
  info: (fields, message) => logger.info(fields, message),
  warn: (fields, message) => logger.warn(fields, message),
  error: (fields, message) => logger.error(fields, message),
  child: (fields) => wrap(logger.child(fields)),
})
