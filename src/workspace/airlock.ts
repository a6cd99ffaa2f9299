import { mkdirSync } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LazarusError } from '../kernel/errors.ts'
import { Slots } from '../kernel/queues.ts'
import type { HullRunOptions, HullSpec } from '../linux/hull.ts'
import { HULL_FAILED, laySkeleton, SYSTEM_PATH, tableFor } from '../linux/hull.ts'
import { HullRunner } from '../linux/hull-runner.ts'
import type { HullMount } from '../linux/mount-table.ts'
import type { RunOptions, RunResult } from '../linux/run.ts'
import { sharedSkeleton } from '../linux/skeleton.ts'
import { ENTER } from './airlock-scripts.ts'
import { randomName } from './durable.ts'
import { configEnvironment } from './git.ts'

/** One passage: a fixed script over read-only views of what agents wrote. Only byte streams cross. */
export interface Passage {
  /** Text of `airlock-scripts.ts`; input reaches it as positional arguments alone. */
  readonly script: string
  readonly args: readonly string[]
  readonly mounts: readonly HullMount[]
  /** `[where to look, where it is mounted]`: FIFOs found there are covered first, so that git waits for no writer. */
  readonly cover_fifos?: readonly [string, string]
  /** git, and whatever a hostile configuration makes it start, has no capabilities; rm, tar and du keep them. */
  readonly unprivileged: boolean
  /** Its mounts lie at places of their own, not at those of every seat. */
  readonly own_root?: boolean
  /** Its time grows with the amount of data: whole repositories, archives, removals. */
  readonly long?: boolean
  /** Files may be larger than the scratch space: those of a layer, where a hole costs nothing. */
  readonly large_files?: boolean
  readonly abort: AbortSignal
}

export type PassageStreams = Pick<RunOptions, 'stdin' | 'on_stdout' | 'max_stdout_bytes'>

export interface Airlock {
  /** Resolves with exit code and reason, whatever they are; rejects when aborted or when the hull cannot be made. */
  pass(passage: Passage, streams?: PassageStreams): Promise<RunResult>
  /** Deletes what passages of a killed daemon left. */
  sweep(older_than_ms: number): Promise<void>
}

export interface AirlockLimits {
  readonly timeout_ms: number
  readonly long_timeout_ms: number
  /** Bytes of the scratch tmpfs, where git builds what it sends. */
  readonly scratch_bytes: number
  readonly processes: number
  /** Address space of one process. */
  readonly memory_bytes: number
  readonly at_once: number
}

/** `directory` holds what passages need while they last, and `roots`, the skeletons that they share. */
export function createAirlock(directory: string, limits: AirlockLimits): Airlock {
  const runner = new HullRunner(directory)
  const quick = new Slots(limits.at_once)
  const long = new Slots(limits.at_once)
  return {
    pass: (passage, streams = {}) =>
      (passage.long ? long : quick).run(() => pass({ directory, limits, runner }, passage, streams)),
    sweep: (older_than_ms) => sweep(directory, older_than_ms),
  }
}

interface Lock {
  readonly directory: string
  readonly limits: AirlockLimits
  readonly runner: HullRunner
}

async function pass(lock: Lock, passage: Passage, streams: PassageStreams): Promise<RunResult> {
  const { directory, limits } = lock
  passage.abort.throwIfAborted()
  const place = join(directory, randomName())
  const spec = { ...hullOf(passage, limits), run_dir: place }
  const timeout_ms = passage.long ? limits.long_timeout_ms : limits.timeout_ms
  const options = { ...streams, timeout_ms, abort: passage.abort }
  const done = await (passage.own_root ? inOwnRoot(lock, spec, options) : inSharedRoot(lock, spec, options))
  passage.abort.throwIfAborted()
  if (done.exit_code === HULL_FAILED)
    throw new LazarusError('runtime_failed', `The airlock could not be made: ${done.stderr.trim()}`)
  return done
}

async function inOwnRoot({ runner }: Lock, spec: HullSpec, options: HullRunOptions): Promise<RunResult> {
  mkdirSync(spec.run_dir, { recursive: true, mode: 0o700 })
  try {
    laySkeleton(spec.run_dir, spec)
    return await runner.run({ ...spec, cwd: spec.run_dir, table: tableFor(spec.run_dir, spec.mounts) }, options)
  } finally {
    await rm(spec.run_dir, { recursive: true, force: true })
  }
}

/** Making and deleting some fifteen mount points costs more than all else in a short passage. */
async function inSharedRoot(lock: Lock, spec: HullSpec, options: HullRunOptions): Promise<RunResult> {
  const cwd = sharedSkeleton(lock.directory, spec)
  return await lock.runner.run({ ...spec, cwd, table: tableFor(cwd, spec.mounts) }, options)
}

const hullOf = (passage: Passage, limits: AirlockLimits): Omit<HullSpec, 'run_dir'> => ({
  mounts: [...rootMounts(limits), ...passage.mounts],
  symlinks: { '/bin': 'usr/bin', '/sbin': 'usr/sbin', '/lib': 'usr/lib', '/lib64': 'usr/lib64' },
  network: 'none',
  rlimits: {
    nproc: limits.processes,
    nofile: 1024,
    core: 0,
    ...(!passage.large_files && { fsize: limits.scratch_bytes }),
  },
  command: airlockCommand(passage, limits),
  environment: AIRLOCK_ENVIRONMENT,
})

const rootMounts = (limits: AirlockLimits): readonly HullMount[] => [
  { kind: 'bind', source: '/usr', target: '/usr', read_only: true },
  { kind: 'proc', target: '/proc' },
  { kind: 'device', target: '/dev/null' },
  { kind: 'device', target: '/dev/zero' },
  { kind: 'device', target: '/dev/urandom' },
  { kind: 'tmpfs', target: '/scratch', options: `size=${limits.scratch_bytes},nr_inodes=100000,mode=0700` },
]

const airlockCommand = (passage: Passage, limits: AirlockLimits): readonly string[] => {
  const [look, mounted] = passage.cover_fifos ?? ['', '']
  const kilobytes = String(Math.floor(limits.memory_bytes / 1024))
  const caps = passage.unprivileged ? 'drop' : 'keep'
  return ['/bin/sh', '-c', ENTER, 'airlock', look, mounted, kilobytes, caps, passage.script, ...passage.args]
}

/** The agent's own configuration is still read in here; these settings only keep honest repositories quick and quiet. */
const AIRLOCK_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: SYSTEM_PATH,
  HOME: '/scratch',
  TMPDIR: '/scratch',
  LC_ALL: 'C.UTF-8',
  LANGUAGE: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
  GIT_OPTIONAL_LOCKS: '0',
  GIT_NO_LAZY_FETCH: '1',
  GIT_AUTHOR_NAME: 'lazarus',
  GIT_AUTHOR_EMAIL: 'airlock@lazarus.invalid',
  GIT_COMMITTER_NAME: 'lazarus',
  GIT_COMMITTER_EMAIL: 'airlock@lazarus.invalid',
  ...configEnvironment({
    'safe.directory': '*',
    'core.hooksPath': '/dev/null',
    'core.fsmonitor': 'false',
    'core.packedGitWindowSize': '64m',
    'core.packedGitLimit': '512m',
    'commit.gpgSign': 'false',
    'gc.auto': '0',
    'protocol.allow': 'never',
    'pack.threads': '1',
    'advice.addEmbeddedRepo': 'false',
  }),
}

async function sweep(directory: string, older_than_ms: number): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    const path = join(directory, name)
    if (name === 'roots') continue // a mount point that is removed unmounts for whoever is inside
    const age = await stat(path).catch(() => null)
    if (age !== null && age.mtimeMs < older_than_ms) await rm(path, { recursive: true, force: true })
  }
}
