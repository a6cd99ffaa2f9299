import { contains } from './paths.ts'

export interface HomeConflict {
  readonly home: string
  readonly relation: 'is' | 'contains' | 'lies in'
}

/**
 * Why a path may not be mounted, or null. All paths resolved and plain. `exempt` are the pit's own directories: what
 * lies in one that itself lies in a home is not the home's any more. A path that is or contains a home is refused
 * wherever it lies.
 */
export function homeConflict(path: string, homes: readonly string[], exempt: readonly string[]): HomeConflict | null {
  for (const home of homes) {
    if (path === home) return { home, relation: 'is' }
    if (contains(path, home)) return { home, relation: 'contains' }
    if (!contains(home, path)) continue
    const own = exempt.some((directory) => contains(home, directory) && contains(directory, path))
    if (!own) return { home, relation: 'lies in' }
  }
  return null
}

/** Of overlapping paths the outermost, in order, each once: a walk of these sees every entry exactly once. */
export function outermost(paths: readonly string[]): readonly string[] {
  const kept: string[] = []
  // An outer path is shorter than what it contains, so it is met first.
  for (const path of [...paths].sort((a, b) => a.length - b.length)) {
    if (!kept.some((outer) => contains(outer, path))) kept.push(path)
  }
  return kept.sort()
}
