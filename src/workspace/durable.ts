import { randomBytes } from 'node:crypto'
import { constants, lstatSync } from 'node:fs'
import { lstat, mkdir, open, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { stepsBelow } from '../domain/paths.ts'
import { LazarusError } from '../kernel/errors.ts'
import { run } from '../linux/run.ts'

/** Called before each durable step; tests make one of them throw and repeat the verb. */
export type Faults = (step: string) => void

export const randomName = (): string => randomBytes(6).toString('hex')

export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Creates a file that must not exist, and makes its content durable (its name: the caller's syncDirectory). */
export async function createFile(path: string, content: string): Promise<void> {
  const handle = await open(path, 'wx', 0o600)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Replaces a file as one step: temporary, fsync, rename, fsync of the directory. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const temporary = `${path}.${randomName()}.tmp`
  await createFile(temporary, content)
  await rename(temporary, path)
  await syncDirectory(dirname(path))
}

export const makePrivateDirectory = (path: string) => mkdir(path, { recursive: true, mode: 0o700 })

/** Whether the path exists; a symlink counts as itself. */
export async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    },
  )
}

/** Waits for the end of all, also when one fails: nothing is written any more when this throws. */
export async function together(tasks: readonly Promise<unknown>[]): Promise<void> {
  const ends = await Promise.allSettled(tasks)
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}

/**
 * Refuses a path of which any component below `root` is missing or not a real directory. Synchronous: a look takes
 * microseconds, and a spawn takes sixty; a turn of the thread pool for each cost 2 ms.
 */
export function requireDirectories(root: string, path: string): void {
  const steps = stepsBelow(root, path)
  if (steps === null) throw new LazarusError('internal', `${path} does not lie below ${root}`)
  for (const step of steps) {
    const facts = lstatSync(step)
    if (facts.isDirectory()) continue
    const what = facts.isSymbolicLink() ? 'a symlink' : 'not a directory'
    throw new LazarusError('conflict', `${step} is ${what}; only real directories are mounted`, {
      remedy: `Look at who replaced ${step}, and put the directory back.`,
      details: { path: step },
    })
  }
}

/** Deletes a tree that we wrote ourselves and that no cell ever wrote in: GNU rm copes with any depth. */
export async function removeOwnTree(path: string): Promise<void> {
  const environment = { PATH: '/usr/bin:/bin', LC_ALL: 'C' }
  const done = await run('rm', ['-rf', '--one-file-system', '--', path], { environment })
  if (done.exit_code !== 0) throw new LazarusError('runtime_failed', `Cannot remove ${path}: ${done.stderr.trim()}`)
}

/** A fresh sibling for building `path` before the rename that makes it appear whole. */
export const buildingName = (path: string): string =>
  join(dirname(path), `.new-${path.slice(path.lastIndexOf('/') + 1)}-${randomName()}`)
