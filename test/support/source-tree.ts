import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

export const ROOT = resolve(import.meta.dirname, '..', '..')

/** Every TypeScript file below a folder of the checkout, as paths relative to it. */
export function sources(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
    .sort()
}

export const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

export interface Import {
  readonly from: string
  /** A file of this checkout, or the name of a package. */
  readonly to: string
}

/** Every static and dynamic import with a literal name, type-only ones too. */
export function importsOf(path: string): readonly Import[] {
  const found = read(path).matchAll(/(?:\bfrom|\bimport)\s*\(?\s*['"]([^'"]+)['"]/g)
  return [...found].map(([, name]) => ({
    from: path,
    to: name!.startsWith('.') ? relative(ROOT, resolve(ROOT, path, '..', name!)) : name!,
  }))
}
