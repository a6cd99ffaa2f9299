import { constants } from 'node:fs'
import { lstat, open, realpath } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { normalise } from '../domain/paths.ts'
import { LazarusError } from '../kernel/errors.ts'

/** Where a repository on this host keeps its things. Only these directories enter the airlock, each at its own path. */
export interface LocalRepository {
  readonly git_dir: string
  readonly directories: readonly string[]
}

type RefuseHome = (path: string) => Promise<void>

const MAX_DEPTH = 5
const POINTER_BYTES = 64 * 1024

/**
 * Finds the git directory of a path, what a linked worktree shares, and the alternates, each resolved and refused
 * when it is, contains or lies in a home. What is not found here does not exist in the airlock, so a source that
 * is swapped afterwards leads nowhere.
 */
export async function findLocalRepository(path: string, refuseHome: RefuseHome): Promise<LocalRepository> {
  await refuseHome(path)
  const top = await resolved(path, path)
  const gitDir = await gitDirectoryOf(top, path)
  const common = await readPointer(join(gitDir, 'commondir'))
  const shared =
    common === null ? gitDir : await resolved(normalise(isAbsolute(common) ? common : `${gitDir}/${common}`), path)
  const alternates = await alternatesOf(join(shared, 'objects'), path, MAX_DEPTH)
  const directories = [...new Set([shared, gitDir, ...alternates])]
  for (const directory of directories) await refuseHome(directory)
  return { git_dir: gitDir, directories }
}

async function gitDirectoryOf(top: string, asked: string): Promise<string> {
  const inner = join(top, '.git')
  const facts = await lstat(inner).catch(() => null)
  if (facts === null) return top
  if (!facts.isFile()) return resolved(inner, asked)
  const pointer = /^gitdir: (.+)$/m.exec((await readPointer(inner)) ?? '')?.[1]
  if (pointer === undefined) return unavailable(asked, `${inner} does not name a git directory`)
  return resolved(normalise(isAbsolute(pointer) ? pointer : `${top}/${pointer}`), asked)
}

async function alternatesOf(objects: string, asked: string, depth: number): Promise<readonly string[]> {
  const text = await readPointer(join(objects, 'info/alternates'))
  if (text === null) return []
  if (depth === 0) return unavailable(asked, 'its alternates are nested too deeply')
  const found: string[] = []
  for (const line of text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))) {
    const directory = await resolved(normalise(isAbsolute(line) ? line : `${objects}/${line}`), asked)
    found.push(directory, ...(await alternatesOf(directory, asked, depth - 1)))
    if (found.length > 64) return unavailable(asked, 'it has more than 64 alternates')
  }
  return found
}

async function resolved(path: string, asked: string): Promise<string> {
  const real = await realpath(path).catch(() => unavailable(asked, `${path} does not exist or may not be entered`))
  const facts = await lstat(real)
  return facts.isDirectory() ? real : unavailable(asked, `${path} is not a directory`)
}

/** A small regular file, read without following a link and without waiting for a FIFO; null when there is none. */
async function readPointer(path: string): Promise<string | null> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => null)
  if (handle === null) return null
  try {
    if (!(await handle.stat()).isFile()) return null
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(POINTER_BYTES), 0, POINTER_BYTES, 0)
    return buffer.toString('utf8', 0, bytesRead).trimEnd()
  } finally {
    await handle.close()
  }
}

function unavailable(asked: string, why: string): never {
  throw new LazarusError('repository_unavailable', `The repository ${asked} cannot be read: ${why}`, {
    details: { reason: why },
  })
}
