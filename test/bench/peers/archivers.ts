import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { pack } from 'tar-fs'
import { output, timed } from '../command.ts'
import type { Contender } from '../contest.ts'
import type { Tree } from '../tree.ts'

/** What one would save and bring back a tree with instead. */
export class Archivers {
  readonly #dir: string
  readonly #tree: Tree
  #count = 0

  private constructor(dir: string, tree: Tree) {
    this.#dir = dir
    this.#tree = tree
  }

  static async open(dir: string, tree: Tree): Promise<Archivers> {
    return new Archivers(await mkdtemp(join(dir, 'archivers-')), tree)
  }

  gnuTar(): Contender {
    return {
      name: 'GNU tar',
      sample: () => this.#archive((file) => this.#run('tar', ['-cf', file, '-C', this.#tree.path, '.'])),
    }
  }

  gnuTarZstd(): Contender {
    const script = 'tar -cf - -C "$2" . | zstd -q -1 -o "$1"'
    return {
      name: 'GNU tar | zstd -1',
      sample: () => this.#archive((file) => this.#run('sh', ['-c', script, 'tar-zstd', file, this.#tree.path])),
    }
  }

  /** In this process, as a program that has it as a library. */
  tarFs(): Contender {
    return {
      name: 'tar-fs',
      every: 3,
      sample: () =>
        this.#archive(async (file) => {
          const began = performance.now()
          await pipeline(pack(this.#tree.path), createWriteStream(file))
          return performance.now() - began
        }),
    }
  }

  restic(): Contender {
    let repository: Promise<unknown> | null = null
    const backup = () => this.#restic('backup', '--quiet', this.#tree.path)
    return {
      name: 'restic, incremental',
      every: 2,
      sample: async () => {
        repository ??= this.#restic('init').then(backup)
        await repository
        await this.#tree.change(20)
        return backup()
      },
    }
  }

  gnuTarExtract(): Contender {
    const archive = join(this.#dir, 'whole.tar')
    let made: Promise<unknown> | null = null
    return {
      name: 'GNU tar -x',
      sample: async () => {
        made ??= this.#run('tar', ['-cf', archive, '-C', this.#tree.path, '.'])
        await made
        return this.#run('tar', ['-xf', archive, '-C', await this.#target()])
      },
    }
  }

  resticRestore(): Contender {
    let saved: Promise<unknown> | null = null
    return {
      name: 'restic restore',
      every: 2,
      sample: async () => {
        saved ??= this.#restic('init').then(() => this.#restic('backup', '--quiet', this.#tree.path))
        await saved
        return this.#restic('restore', 'latest', '--quiet', '--target', await this.#target())
      },
    }
  }

  /** It stays until the bench removes everything: for minutes after thousands of deletions ext4 is slow, for all. */
  #target(): Promise<string> {
    return mkdtemp(join(this.#dir, 'target-'))
  }

  async #archive(make: (file: string) => Promise<number>): Promise<number> {
    const file = join(this.#dir, `archive-${++this.#count}`)
    try {
      return await make(file)
    } finally {
      await rm(file, { force: true })
    }
  }

  /** What it left in the page cache is written out, outside of its time, before somebody else wants the disk. */
  async #run(file: string, args: readonly string[], environment: Record<string, string> = {}): Promise<number> {
    const { exit_ms } = await timed(file, args, { environment })
    await output('sync', [])
    return exit_ms
  }

  async #restic(...args: string[]): Promise<number> {
    const environment = {
      RESTIC_REPOSITORY: join(this.#dir, 'restic'),
      RESTIC_CACHE_DIR: join(this.#dir, 'restic-cache'),
      RESTIC_PASSWORD: 'bench',
    }
    return this.#run('restic', args, environment)
  }
}
