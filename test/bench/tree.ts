import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { output } from './command.ts'

/** A clone for the peers: the files and a `.git` of its own, where an agent's commits would be. */
export interface Tree {
  readonly path: string
  /** Appends to so many files, spread over the tree: those that a seat of the bench changes. */
  change(files: number): Promise<void>
}

export async function makeTree(dir: string, repository: string): Promise<Tree> {
  const path = join(dir, 'tree')
  await output('git', ['clone', '--quiet', '--no-hardlinks', repository, path])
  const total = Number(await output('sh', ['-c', 'find "$1"/src -type f | wc -l', 'count', path]))
  return {
    path,
    async change(files) {
      const step = Math.floor(total / files)
      for (let i = 0; i < files * step; i += step)
        await appendFile(join(path, 'src', String(Math.floor(i / 100)), `file-${i}.txt`), 'more\n')
    },
  }
}
