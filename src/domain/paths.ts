/**
 * Rules about paths, textual and pure. What a component *is* (a directory, a symlink) only the file system
 * knows: callers ask it for each of `stepsBelow`, at the moment of use.
 */

/** Absolute, without NUL, `.`, `..`, doubled or trailing slashes: two such paths are the same exactly when they are equal. */
export function isPlain(path: string): boolean {
  if (path === '/') return true
  if (!path.startsWith('/') || path.includes('\0')) return false
  return path
    .slice(1)
    .split('/')
    .every((name) => name !== '' && name !== '.' && name !== '..')
}

/** A single file name: nothing that could lead anywhere else. */
export const isName = (name: string): boolean =>
  name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0')

/** Resolves `.`, `..` and doubled slashes by text alone; `..` at the root stays there. Absolute paths only. */
export function normalise(path: string): string {
  const names: string[] = []
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue
    if (name === '..') names.pop()
    else names.push(name)
  }
  return `/${names.join('/')}`
}

/** Whether `inner` is `outer` or lies below it. Both plain. */
export const contains = (outer: string, inner: string): boolean =>
  inner === outer || inner.startsWith(outer === '/' ? '/' : `${outer}/`)

/** Whether one is, contains or lies in the other. */
export const overlaps = (a: string, b: string): boolean => contains(a, b) || contains(b, a)

/** Every path from just below `root` down to `path` itself; null when `path` does not lie below `root`. */
export function stepsBelow(root: string, path: string): readonly string[] | null {
  if (!isPlain(root) || !isPlain(path) || !contains(root, path)) return null
  const prefix = root === '/' ? '' : root
  const names = path.slice(prefix.length).split('/').filter(Boolean)
  return names.map((_, index) => `${prefix}/${names.slice(0, index + 1).join('/')}`)
}
