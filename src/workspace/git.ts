import type { RunOptions, RunResult } from '../linux/run.ts'
import { run } from '../linux/run.ts'

/**
 * git on the host, over repositories that we made ourselves: no system, user or environment configuration, no
 * hooks, no helpers, no prompt, no transport. What an agent wrote is never the work tree or git directory here.
 */
export interface GitOptions extends Omit<RunOptions, 'environment' | 'cwd'> {
  readonly repository?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly config?: Readonly<Record<string, string>>
}

const SYSTEM_PATH = '/usr/local/bin:/usr/bin:/bin'

const OUR_CONFIG: Readonly<Record<string, string>> = {
  'core.hooksPath': '/dev/null',
  'core.fsmonitor': 'false',
  'core.attributesFile': '/dev/null',
  'core.excludesFile': '/dev/null',
  'core.fsync': 'all',
  'core.pager': 'cat',
  'credential.helper': '',
  'gc.auto': '0',
  'maintenance.auto': 'false',
  'protocol.allow': 'never',
  'submodule.recurse': 'false',
  'fetch.recurseSubmodules': 'false',
  'transfer.unpackLimit': '1',
  'transfer.bundleURI': 'false',
  'diff.external': '',
  'advice.detachedHead': 'false',
}

/** Configuration in the environment and not as `-c`: values may be secret, and command lines are public. */
export function configEnvironment(config: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(config)
  const environment: Record<string, string> = { GIT_CONFIG_COUNT: String(entries.length) }
  for (const [index, [key, value]] of entries.entries()) {
    environment[`GIT_CONFIG_KEY_${index}`] = key
    environment[`GIT_CONFIG_VALUE_${index}`] = value
  }
  return environment
}

export function gitEnvironment(options: GitOptions): Record<string, string> {
  return {
    PATH: SYSTEM_PATH,
    HOME: '/nonexistent',
    LC_ALL: 'C.UTF-8',
    LANGUAGE: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_SYSTEM: '/dev/null',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: '/bin/false',
    SSH_ASKPASS: '/bin/false',
    GIT_SSH_COMMAND: 'ssh -o BatchMode=yes -o ConnectTimeout=20',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_NO_LAZY_FETCH: '1',
    ...(options.repository === undefined ? {} : { GIT_DIR: options.repository }),
    ...options.environment,
    ...configEnvironment({ ...OUR_CONFIG, ...options.config }),
  }
}

/** Runs git to its end. The exit code is data: callers know what a failure means. Rejects when aborted. */
export async function git(args: readonly string[], options: GitOptions = {}): Promise<RunResult> {
  const { repository: _, environment: __, config: ___, ...rest } = options
  const done = await run('git', args, { cwd: '/', timeout_ms: 600_000, ...rest, environment: gitEnvironment(options) })
  options.abort?.throwIfAborted()
  return done
}

/** The part of git's stderr that says why, on one line. */
export function gitReason(stderr: string): string {
  const lines = stderr
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
  const telling = lines.filter((line) => /^(fatal|error|remote):/.test(line))
  return (telling.length > 0 ? telling : lines).slice(-3).join('; ').slice(-1000)
}

export const isDiskFull = (reason: string): boolean => /No space left on device|Disk quota exceeded/.test(reason)

export const text = (done: RunResult): string => done.stdout.toString('utf8').trim()
export const bytes = (content: string): Uint8Array => Buffer.from(content)
