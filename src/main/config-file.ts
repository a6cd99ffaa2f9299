import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Config, config as configSchema } from '../contract/config.ts'
import { describeProblem } from '../contract/problems.ts'
import { LazarusError } from '../kernel/errors.ts'
import { writeAtomic } from '../store/atomic-file.ts'

/** What `--create-config` writes: the keys of the original and those that an operator changes first, with their defaults. */
const WRITTEN = [
  'poll_interval',
  'timeout',
  'max_retries',
  'auto_revive',
  'gateways',
  'missions_path',
  'log_level',
  'homes',
  'listen',
  'dead_man',
] as const satisfies readonly (keyof Config)[]

/** The configuration, or the defaults where there is no file and nobody named one. */
export function readConfig(path: string, required: boolean): Config {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
    requireOwn(path)
  } catch (error) {
    if (error instanceof LazarusError) throw error
    if (!required && (error as NodeJS.ErrnoException).code === 'ENOENT') return configSchema.parse({})
    throw new LazarusError('invalid_request', `The configuration ${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
      remedy: 'Correct the path in LAZARUS_CONFIG, make the file readable, or write one: lazarus --create-config',
    })
  }
  return parseConfig(path, text)
}

/** It names a command that is run: who can write it, acts as the operator. */
function requireOwn(path: string): void {
  if ((statSync(path).mode & 0o002) === 0) return
  throw new LazarusError('forbidden', `Everybody may write the configuration ${path}`, {
    remedy: `chmod o-w '${path}', after you looked at what it says.`,
  })
}

function parseConfig(path: string, text: string): Config {
  const remedy = `Correct ${path}; docs/operations.md explains every key.`
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new LazarusError('invalid_request', `The configuration ${path} is not JSON: ${(error as Error).message}`, {
      cause: error,
      remedy,
    })
  }
  const parsed = configSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => describeProblem(issue, value, configSchema.shape))
  throw new LazarusError('invalid_request', `The configuration ${path} is wrong: ${problems.join('; ')}`, { remedy })
}

export interface CreatedConfig {
  readonly path: string
  readonly replaced: boolean
}

/** Mode 0600, in a directory that is made when it is missing. What is there stays, unless `force`. */
export async function createConfig(path: string, missionsPath: string, force: boolean): Promise<CreatedConfig> {
  const defaults = configSchema.parse({ missions_path: missionsPath })
  const text = `${JSON.stringify(Object.fromEntries(WRITTEN.map((key) => [key, defaults[key]])), null, 2)}\n`
  const replaced = statSync(path, { throwIfNoEntry: false }) !== undefined
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    if (force) await writeAtomic(path, text, { durable: true })
    else writeFileSync(path, text, { flag: 'wx', mode: 0o600 })
  } catch (cause) {
    throw cannotCreate(path, cause as NodeJS.ErrnoException)
  }
  return { path, replaced }
}

function cannotCreate(path: string, cause: NodeJS.ErrnoException): LazarusError {
  if (cause.code === 'EEXIST') {
    return new LazarusError('conflict', `The configuration ${path} exists already; it stays as it is`, {
      cause,
      remedy: 'Edit it, or replace it by the defaults with --force.',
    })
  }
  return new LazarusError('invalid_request', `The configuration ${path} cannot be written: ${cause.message}`, {
    cause,
    remedy: 'Name another path in LAZARUS_CONFIG, or let this user write there.',
  })
}
