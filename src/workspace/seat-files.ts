import { LazarusError } from '../kernel/errors.ts'
import type { LayerUsage } from '../ports/workspace.ts'
import type { Airlock } from './airlock.ts'
import { text } from './git.ts'
import { EMPTY_SEAT, FIND_TORN, MEASURE_SEAT, SYNC_SEAT } from './seat-scripts.ts'

const never = new AbortController().signal

const at = (source: string, read_only: boolean) => [{ kind: 'bind', source, target: '/seat', read_only }] as const

/** What the named parts of a seat's directory take on disk. */
export async function measure(airlock: Airlock, directory: string, names: readonly string[]): Promise<LayerUsage> {
  const passage = { script: MEASURE_SEAT, args: names, mounts: at(directory, true), unprivileged: false, abort: never }
  const done = await airlock.pass(passage, { max_stdout_bytes: 256 })
  const [bytes = Number.NaN, entries = Number.NaN] = text(done).split(' ').map(Number)
  if (Number.isSafeInteger(bytes) && Number.isSafeInteger(entries)) return { bytes, entries }
  throw new LazarusError('runtime_failed', `${directory} could not be measured: ${done.stderr.trim().slice(-1000)}`)
}

/** Whether none of the files that we seeded was torn by a power loss. What the agent removed is its own affair. */
export async function isWhole(airlock: Airlock, directory: string, seeds: readonly string[]): Promise<boolean> {
  const passage = { script: FIND_TORN, args: seeds, mounts: at(directory, true), unprivileged: false, abort: never }
  const done = await airlock.pass(passage, { max_stdout_bytes: 65_536 })
  return done.exit_code === 0 && text(done) === ''
}

/** Whether what agents wrote below a directory is on the disk. */
export async function sync(airlock: Airlock, directory: string): Promise<boolean> {
  const passage = { script: SYNC_SEAT, args: [], mounts: at(directory, true), unprivileged: false, abort: never }
  return (await airlock.pass({ ...passage, long: true })).exit_code === 0
}

/** Deletes everything below a directory that agents wrote in; the directory itself stays. */
export async function empty(airlock: Airlock, directory: string): Promise<void> {
  const passage = {
    script: EMPTY_SEAT,
    args: [],
    mounts: at(directory, false),
    unprivileged: false,
    long: true,
    abort: never,
  }
  const done = await airlock.pass(passage)
  if (done.exit_code === 0) return
  throw new LazarusError('runtime_failed', `${directory} could not be emptied: ${done.stderr.trim().slice(-1000)}`)
}
