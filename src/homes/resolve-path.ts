import { readlink } from 'node:fs/promises'
import { LazarusError } from '../kernel/errors.ts'

/** As many as the kernel follows (MAXSYMLINKS). */
const MAX_LINKS = 40

async function linkTarget(path: string): Promise<string | null> {
  try {
    return await readlink(path)
  } catch {
    // No link (EINVAL), not there yet, below a file, or in a directory that we may not search: it stands as it is.
    return null
  }
}

/**
 * Where a path really leads: every component that is a symlink is resolved, as the kernel would do it, also when the
 * tail does not exist yet. `..` goes up from where the links before it led.
 */
export async function resolvePath(path: string): Promise<string> {
  if (!path.startsWith('/') || path.includes('\0')) {
    throw new LazarusError('invalid_request', `${JSON.stringify(path)} is not an absolute path`)
  }
  const rest = path.split('/').reverse()
  let resolved: string[] = []
  for (let links = 0; rest.length > 0; ) {
    const name = rest.pop()!
    if (name === '' || name === '.') continue
    if (name === '..') {
      resolved.pop()
      continue
    }
    const target = await linkTarget(`/${[...resolved, name].join('/')}`)
    if (target === null) {
      resolved.push(name)
      continue
    }
    links += 1
    if (links > MAX_LINKS) throw new LazarusError('invalid_request', `${path} leads through too many symlinks`)
    if (target.startsWith('/')) resolved = []
    rest.push(...target.split('/').reverse())
  }
  return `/${resolved.join('/')}`
}
