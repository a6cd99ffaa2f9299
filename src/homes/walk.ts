import { open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LazarusError } from '../kernel/errors.ts'
import { ENTRY_FORMAT } from './entry.ts'
import { addContent } from './hash-content.ts'
import { requireSuccess, runTool } from './tool.ts'

/** Memory of sort; what is beyond goes to temporary files beside the seal. */
const SORT_MEMORY = '64M'

export interface WalkOptions {
  /** Non-overlapping, absolute. One that does not exist has no entries. */
  readonly roots: readonly string[]
  /** Left out with everything below. */
  readonly pruned: readonly string[]
  readonly content: boolean
  /** An existing private directory for the result and everything on the way. */
  readonly directory: string
}

export interface Walked {
  /** Records of `entry.ts`, sorted by bytes. */
  readonly file: string
  /** Directories and, with content, files that the operator may not read. */
  readonly unreadable: number
}

/** -path takes a pattern; a path is meant as it is. */
const literally = (path: string): string => path.replace(/[\\*?[\]]/g, '\\$&')

/**
 * An unreadable directory is recorded like any other entry and counted by one byte in a file of its own; find does
 * not try it, and so does not complain. -P: no symlink is ever followed.
 */
export function findArguments(pruned: readonly string[], entries: string, unreadable: string): string[] {
  const leaveOut = pruned.flatMap((path) => ['-path', literally(path), '-prune', '-o'])
  const mayNotRead = ['-type', 'd', '!', '(', '-readable', '-executable', ')']
  return [
    '-P',
    '-files0-from',
    '-',
    ...leaveOut,
    '-fprintf',
    entries,
    ENTRY_FORMAT,
    ...mayNotRead,
    '-fprintf',
    unreadable,
    '.',
    '-prune',
  ]
}

export const sortArguments = (directory: string, from: string, to: string): string[] => [
  '--zero-terminated',
  `--buffer-size=${SORT_MEMORY}`,
  `--temporary-directory=${directory}`,
  `--output=${to}`,
  from,
]

async function makePrivateFile(path: string): Promise<string> {
  await (await open(path, 'wx', 0o600)).close()
  return path
}

/** Messages of find about anything but files that vanished while it looked: those are no longer there, that is all. */
const complaints = (stderr: string): number =>
  stderr.split('\n').filter((line) => line.startsWith('find: ') && !line.endsWith(': No such file or directory')).length

async function find(options: WalkOptions, abort: AbortSignal): Promise<Walked> {
  const file = await makePrivateFile(join(options.directory, 'found'))
  const unreadable = await makePrivateFile(join(options.directory, 'unreadable'))
  if (options.roots.length === 0) return { file, unreadable: 0 }
  const stdin = Buffer.from(options.roots.map((root) => `${root}\0`).join(''))
  const result = await runTool('find', findArguments(options.pruned, file, unreadable), abort, { stdin })
  // 1: it saw everything that it could, and said what it could not.
  if (result.exit_code !== 0 && result.exit_code !== 1) requireSuccess('find', result)
  if (/^find: (invalid|unknown|paths must|missing|cannot)/m.test(result.stderr)) {
    throw new LazarusError('runtime_failed', `find does not know what is asked of it: ${result.stderr}`, {
      remedy: 'Install GNU findutils 4.9 or newer.',
    })
  }
  return { file, unreadable: (await stat(unreadable)).size + complaints(result.stderr) }
}

/** Every entry below the roots, in memory that does not grow with their number. */
export async function walk(options: WalkOptions, abort: AbortSignal): Promise<Walked> {
  const found = await find(options, abort)
  const hashed = `${found.file}.hashed`
  const unhashable = options.content ? await addContent(found.file, hashed, abort) : 0
  const file = await makePrivateFile(join(options.directory, 'entries'))
  const unsorted = options.content ? hashed : found.file
  requireSuccess('sort', await runTool('sort', sortArguments(options.directory, unsorted, file), abort))
  for (const done of [found.file, hashed, join(options.directory, 'unreadable')]) await rm(done, { force: true })
  return { file, unreadable: found.unreadable + unhashable }
}
