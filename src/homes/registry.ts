import { isUtf8 } from 'node:buffer'
import { lstat, readdir, realpath, stat } from 'node:fs/promises'
import { normalise } from '../domain/paths.ts'

export interface RegisteredHome {
  /** As the glob names it; it may be a symlink. */
  readonly name: string
  /** Where it really is; the name itself when that cannot be told. */
  readonly path: string
  /** Whether the name itself is a symlink. */
  readonly linked: boolean
}

const join = (directory: string, name: string): string => (directory === '/' ? `/${name}` : `${directory}/${name}`)

/** `*` stands for any run of characters in one name, leading dots included: better one home too many than one too few. */
const matcher = (segment: string): RegExp =>
  new RegExp(
    `^${segment
      .split('*')
      .map((text) => text.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'))
      .join('.*')}$`,
    's',
  )

/**
 * Paths that a segment leads to from `directory`. A name that is not UTF-8 has no string that opens it, so the
 * directory itself stands for it: it is protected and sealed whole.
 */
async function step(directory: string, segment: string): Promise<string[]> {
  if (!segment.includes('*')) return [join(directory, segment)]
  const matches = matcher(segment)
  const names = await readdir(directory, { encoding: 'buffer' }).catch(() => [])
  return names.flatMap((name) => {
    if (!isUtf8(name)) return [directory]
    const text = name.toString('utf8')
    return matches.test(text) ? [join(directory, text)] : []
  })
}

async function homeAt(name: string): Promise<RegisteredHome[]> {
  const itself = await lstat(name).catch(() => null)
  const linked = itself?.isSymbolicLink() ?? false
  if (!itself?.isDirectory() && !linked) return []
  const path = await realpath(name).catch(() => name)
  // A link to a file is no home. A dangling one is protected by its name.
  const target = await stat(path).catch(() => null)
  return target && !target.isDirectory() ? [] : [{ name, path, linked }]
}

/** The homes that the globs name now. Missing ones, and directories that may not be listed, are fine. */
export async function expandHomes(globs: readonly string[]): Promise<RegisteredHome[]> {
  const names = new Set<string>()
  for (const glob of globs) {
    let found = ['/']
    for (const segment of normalise(glob).split('/').filter(Boolean)) {
      found = (await Promise.all(found.map((directory) => step(directory, segment)))).flat()
    }
    for (const name of found) names.add(name)
  }
  return (await Promise.all([...names].sort().map(homeAt))).flat()
}
