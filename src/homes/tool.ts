import { LazarusError } from '../kernel/errors.ts'
import { type RunOptions, type RunResult, run } from '../linux/run.ts'

/** Byte order and English messages, whatever the operator's locale. */
const ENVIRONMENT = { PATH: '/usr/bin:/bin', LC_ALL: 'C' }

/**
 * Runs one of the tools that walk, sort and compare. They do it in processes of their own, so that a million entries
 * cost the pit neither memory nor a turn of its event loop.
 */
export async function runTool(
  file: string,
  args: readonly string[],
  abort: AbortSignal,
  options: Pick<RunOptions, 'stdin' | 'on_stdout'> = {},
): Promise<RunResult> {
  const limits = { environment: ENVIRONMENT, abort, max_stdout_bytes: Number.POSITIVE_INFINITY }
  const result = await run(file, args, { ...options, ...limits })
  abort.throwIfAborted()
  // At the end of a line: before it stands a name, which anybody may have chosen.
  if (/: (No space left on device|Disk quota exceeded)$/m.test(result.stderr)) {
    throw new LazarusError('storage_full', `The disk is full: ${lastLine(result.stderr)}`)
  }
  return result
}

/** For a tool whose only good exit code is 0. */
export function requireSuccess(file: string, result: RunResult): void {
  if (result.exit_code === 0) return
  const how = result.signal ?? `exit code ${result.exit_code}`
  throw new LazarusError('runtime_failed', `${file} failed (${how}): ${lastLine(result.stderr)}`)
}

const lastLine = (text: string): string => text.trimEnd().split('\n').at(-1) ?? ''
