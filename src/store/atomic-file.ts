import { randomBytes } from 'node:crypto'
import { constants, renameSync, rmSync, writeFileSync } from 'node:fs'
import { open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

const SUFFIX = '.tmp'
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

export interface AtomicOptions {
  /** Also survives the power: fsync of the file and of its directory. For what cannot be made again. */
  readonly durable: boolean
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function writeDurably(temporary: string, path: string, content: string): Promise<void> {
  try {
    const handle = await open(temporary, NEW_FILE, 0o600)
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncDirectory(dirname(path))
}

/** Into the page cache: that takes less time than a turn of the thread pool for each step. */
function writeQuickly(temporary: string, path: string, content: string): void {
  try {
    writeFileSync(temporary, content, { flag: 'wx', mode: 0o600 })
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

/** Replaces a file as one step, mode 0600: a reader sees the old one or the new one, whole. A symlink is replaced, not followed. */
export async function writeAtomic(path: string, content: string, { durable }: AtomicOptions): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}${SUFFIX}`)
  if (durable) await writeDurably(temporary, path, content)
  else writeQuickly(temporary, path, content)
}

/** Removes what a process that was killed in `writeAtomic` left. Only while nobody writes in this directory. */
export async function removeTemporaries(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  for (const name of names) {
    if (name.startsWith('.') && name.endsWith(SUFFIX)) await rm(join(directory, name), { force: true })
  }
}
