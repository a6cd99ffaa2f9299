import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createFile, replaceFile } from './durable.ts'

/** A bare repository of ours, with the objects of others to borrow from. */
export async function layBareRepository(path: string, head: string, alternates: readonly string[]): Promise<void> {
  for (const name of ['objects/info', 'objects/pack', 'refs/heads', 'refs/tags']) {
    await mkdir(join(path, name), { recursive: true, mode: 0o700 })
  }
  await createFile(join(path, 'HEAD'), `${head}\n`)
  await createFile(join(path, 'config'), '[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n')
  if (alternates.length > 0) await createFile(join(path, 'objects/info/alternates'), `${alternates.join('\n')}\n`)
}

/** The commits at which a mirror's history was cut off; they must be told to every repository that borrows from it. */
export const shallowOf = (mirror: string): Promise<string> =>
  readFile(join(mirror, 'shallow'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })

export async function addShallow(mirror: string, commits: readonly string[]): Promise<void> {
  const known = (await shallowOf(mirror)).split('\n').filter(Boolean)
  const all = [...new Set([...known, ...commits])].toSorted()
  if (all.length > known.length) await replaceFile(join(mirror, 'shallow'), `${all.join('\n')}\n`)
}
