import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { LazarusError } from '../kernel/errors.ts'

const exec = promisify(execFile)
const MAX_OUTPUT = 64 * 1024 * 1024

/** Set by git for its hooks; they would point every command at another repository. */
const OF_A_HOOK = new Set([
  'GIT_DIR',
  'GIT_WORK_TREE',
  'GIT_INDEX_FILE',
  'GIT_OBJECT_DIRECTORY',
  'GIT_COMMON_DIR',
  'GIT_PREFIX',
])

export interface GitPlace {
  readonly cwd: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
  /** `cwd` is a checkout of root: git reads it only when it is told to. */
  readonly safe: boolean
}

/** Runs git on a repository of the user, as the user. Output without the newline at its end. */
export async function git(place: GitPlace, args: readonly string[]): Promise<string> {
  const { cwd, environment, signal } = place
  const own = Object.fromEntries(Object.entries(environment).filter(([name]) => !OF_A_HOOK.has(name)))
  const env = { ...own, GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C.UTF-8' }
  try {
    const { stdout } = await exec('git', [...trust(place), ...args], { cwd, env, signal, maxBuffer: MAX_OUTPUT })
    return stdout.replace(/\n$/, '')
  } catch (error) {
    const { stderr, message, code } = error as { stderr?: string; message: string; code?: unknown }
    if (code === 'ABORT_ERR') throw error
    const reason = (stderr || message).trim().split('\n').slice(0, 3).join(' ')
    throw new LazarusError('repository_unavailable', `git ${args[0]} failed in ${cwd}: ${reason}`, {
      cause: error,
      remedy: 'Run the same git command there by hand.',
    })
  }
}

/** In the scope of this command alone: nothing is written to a configuration, and no daemon is started for root. */
const trust = ({ cwd, safe }: GitPlace): readonly string[] =>
  safe ? ['-c', `safe.directory=${cwd}`, '-c', 'core.fsmonitor=false'] : []

/** null instead of an error: for questions whose answer may be "no". */
export async function tryGit(place: GitPlace, args: readonly string[]): Promise<string | null> {
  try {
    return await git(place, args)
  } catch (error) {
    if (place.signal.aborted) throw error
    return null
  }
}
