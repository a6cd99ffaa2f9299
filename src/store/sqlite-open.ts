import { closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { asLazarusError, LazarusError } from '../kernel/errors.ts'
import { lockHolder } from './lock-holder.ts'
import { EVENTS_SCHEMA } from './sqlite-events.ts'

const SCHEMA_VERSION = 1
/** "LPit": tells our file from any other SQLite file. */
const APPLICATION_ID = 0x4c_50_69_74

const SCHEMA = `${EVENTS_SCHEMA}
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`

/** Primary result codes of SQLite, the low byte of `errcode`. */
const BUSY = 5
const CORRUPT = 11
const FULL = 13
const NOT_A_DATABASE = 26

const resultCode = (error: unknown): number | undefined => {
  const code = (error as { errcode?: unknown } | null)?.errcode
  return typeof code === 'number' ? code & 0xff : undefined
}

/** An error of SQLite in the words of the catalogue. */
export function ledgerError(error: unknown, path: string, name = 'ledger'): LazarusError {
  const cause = error instanceof Error ? error.message : String(error)
  switch (resultCode(error)) {
    case BUSY:
      return alreadyRunning(path, error)
    case FULL:
      return new LazarusError('storage_full', `The ${name} ${path} cannot grow: ${cause}`, { cause: error })
    case CORRUPT:
    case NOT_A_DATABASE:
      return new LazarusError('ledger_unusable', `The ${name} ${path} is damaged: ${cause}`, { cause: error })
    default:
      return asLazarusError(error)
  }
}

function alreadyRunning(path: string, cause: unknown): LazarusError {
  const pid = lockHolder(path)
  const who = pid === null ? 'another process' : `process ${pid}`
  return new LazarusError('pit_already_running', `The ledger ${path} is in use by ${who}`, {
    cause,
    details: { path, pid },
  })
}

/** Made by us with mode 0600, because SQLite would use the umask; its -wal file takes over the mode. */
export function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    // An existing file is not opened: closing any descriptor of it would drop this process's own POSIX locks.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

const pragma = (db: DatabaseSync, name: string): unknown => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0]

/** Our own schema, made in an empty file; refuses what somebody else or a newer version made. */
function prepareSchema(db: DatabaseSync, path: string): void {
  const version = Number(pragma(db, 'user_version'))
  const tables = Number(Object.values(db.prepare('SELECT count(*) FROM sqlite_schema').get() ?? {})[0])
  if (version === 0 && tables === 0) {
    db.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT`)
    return
  }
  if (pragma(db, 'application_id') !== APPLICATION_ID) {
    throw new LazarusError('ledger_unusable', `${path} is a database, but not a ledger of Lazarus Pit`)
  }
  if (version > SCHEMA_VERSION) {
    const message = `The ledger ${path} has schema version ${version}; this version knows ${SCHEMA_VERSION}`
    throw new LazarusError('ledger_unusable', message)
  }
}

/**
 * Opens the ledger for this process alone. The exclusive lock is taken by the first read and held until close or
 * death: the kernel drops it with the process, so a crash leaves nothing to clean up. WAL with synchronous=FULL
 * makes a COMMIT durable with one fsync.
 */
export function openLedger(path: string): DatabaseSync {
  let db: DatabaseSync | undefined
  try {
    makePrivate(path)
    db = new DatabaseSync(path, { timeout: 0 })
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    db.exec('PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = OFF')
    prepareSchema(db, path)
    return db
  } catch (error) {
    db?.close()
    throw ledgerError(error, path)
  }
}
