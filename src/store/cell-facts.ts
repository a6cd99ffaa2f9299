import { constants, type Stats } from 'node:fs'
import { lstat, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CELL_FILES, CELL_FOLDERS, type CellFileName } from '../contract/cell.ts'
import type { CellFacts, FileFact, FolderFact } from '../domain/cell-classification.ts'

/** Ten thousand agents in config/permissions.json take some 2 MB. */
const MAX_FILE_BYTES = 8 * 1024 ** 2

/** Whoever made the directory may have put anything there: no symlink is followed, no FIFO waited for, no device opened. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

function kindOf(stats: Stats): string {
  if (stats.isFile()) return 'is a file'
  if (stats.isDirectory()) return 'is a folder'
  if (stats.isSymbolicLink()) return 'is a symlink'
  return 'is a special file'
}

/** What a failed look at a path says about it. */
function explain(error: unknown): 'missing' | { readonly unusable: string } {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR' ? 'missing' : { unusable: `cannot be read (${code ?? error})` }
}

async function folderFact(path: string): Promise<FolderFact> {
  try {
    const stats = await lstat(path)
    return stats.isDirectory() ? 'folder' : { unusable: `${kindOf(stats)}, not a folder` }
  } catch (error) {
    return explain(error)
  }
}

function whyNot(stats: Stats): string | null {
  if (!stats.isFile()) return `${kindOf(stats)}, not a file`
  if (stats.size > MAX_FILE_BYTES) return `has ${stats.size} bytes, more than ${MAX_FILE_BYTES}`
  return null
}

async function readText(path: string): Promise<FileFact> {
  const before = whyNot(await lstat(path))
  if (before) return { unusable: before }
  const handle = await open(path, READ)
  try {
    // It may have been replaced since: what is open counts, and no more of it than it had.
    const stats = await handle.stat()
    const opened = whyNot(stats)
    if (opened) return { unusable: opened }
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(stats.size), 0, stats.size, 0)
    return { text: buffer.toString('utf8', 0, bytesRead) }
  } finally {
    await handle.close()
  }
}

const fileFact = (path: string): Promise<FileFact> => readText(path).catch(explain)

/** Looks at everything that the classification asks for, in a directory that nobody vouches for. */
export async function lookAtCell(directory: string): Promise<CellFacts> {
  const folders = await Promise.all(
    CELL_FOLDERS.map(async (name) => [name, await folderFact(join(directory, name))] as const),
  )
  const usable = new Set<string>(folders.flatMap(([name, fact]) => (fact === 'folder' ? [name] : [])))
  const lookAt = async (name: CellFileName): Promise<FileFact> => {
    // A folder that is a symlink would be followed: nothing in it is looked at.
    const inside = dirname(name) === '.' || usable.has(dirname(name))
    return inside ? fileFact(join(directory, name)) : 'missing'
  }
  const names = Object.keys(CELL_FILES) as CellFileName[]
  const files = await Promise.all(names.map(async (name) => [name, await lookAt(name)] as const))
  const record = await lstat(join(directory, 'record.json')).then(
    (stats) => stats.isFile(),
    () => false,
  )
  return {
    folders: Object.fromEntries(folders) as CellFacts['folders'],
    files: Object.fromEntries(files) as CellFacts['files'],
    record,
  }
}
