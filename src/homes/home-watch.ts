import { lstat } from 'node:fs/promises'
import type { Seal, SealRequest, Verification } from '../contract/home.ts'
import { outermost } from '../domain/homes.ts'
import { type Clock, type Entropy, isoTime } from '../kernel/clock.ts'
import { LazarusError } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { HomeWatch } from '../ports/home-watch.ts'
import { compare } from './compare.ts'
import { refuseHomes } from './refuse.ts'
import { expandHomes, type RegisteredHome } from './registry.ts'
import { resolvePath } from './resolve-path.ts'
import { digest, SealStore } from './seal-store.ts'
import { walk } from './walk.ts'

export interface HomeWatchOptions {
  /** Where homes are: absolute, `*` for any part of one name. */
  readonly globs: readonly string[]
  /** The pit's own directories: left out of seals, and mountable although they lie in a home. */
  readonly exempt: readonly string[]
  /** Private directory for seals. */
  readonly sealsDir: string
  readonly clock: Clock
  readonly entropy: Entropy
  readonly log: Log
}

/** Homes: which there are, that none gets mounted, and the proof that none changed. */
class Homes implements HomeWatch {
  readonly #options: HomeWatchOptions
  readonly #seals: SealStore

  constructor(options: HomeWatchOptions) {
    this.#options = options
    this.#seals = new SealStore(options.sealsDir)
  }

  async registered(): Promise<readonly string[]> {
    return pathsOf(await expandHomes(this.#options.globs))
  }

  async refuseHome(path: string): Promise<void> {
    await refuseHomes(path, await expandHomes(this.#options.globs), this.#options.exempt)
  }

  async seal(request: SealRequest, abort: AbortSignal): Promise<Seal> {
    const { clock, entropy, log } = this.#options
    const started = clock.monotonic()
    await this.#seals.sweep(clock.now())
    const homes = request.paths ? await namedHomes(request.paths) : await expandHomes(this.#options.globs)
    const roots = rootsOf(homes)
    await using scratch = await this.#seals.scratch()
    const { file, unreadable } = await this.#walk(roots, request.content, scratch.path, abort)
    const { entries, sha256 } = await digest(file, abort)
    const seal: Seal = {
      seal_id: `seal_${entropy.token(16)}`,
      created_at: isoTime(clock.now()),
      homes: pathsOf(homes),
      entries,
      unreadable,
      content: request.content,
      took_ms: clock.monotonic() - started,
    }
    await this.#seals.keep(scratch.path, { seal, roots: [...roots], sha256 })
    log.info({ seal_id: seal.seal_id, entries, unreadable, took_ms: seal.took_ms }, 'homes sealed')
    return seal
  }

  async verify(seal_id: string, abort: AbortSignal): Promise<Verification> {
    const { clock, log } = this.#options
    const started = clock.monotonic()
    const sealed = await this.#seals.load(seal_id, abort)
    await using scratch = await this.#seals.scratch()
    const { file, unreadable } = await this.#walk(sealed.roots, sealed.seal.content, scratch.path, abort)
    const { entries } = await digest(file, abort)
    const { changed, changes } = await compare(sealed.entriesFile, file, abort)
    const took_ms = clock.monotonic() - started
    log.info({ seal_id, entries, unreadable, changes, took_ms }, 'homes verified')
    return { seal_id, unchanged: changes === 0, entries, unreadable, changed, changes, took_ms }
  }

  async discard(seal_id: string): Promise<void> {
    await this.#seals.discard(seal_id)
  }

  async #walk(roots: readonly string[], content: boolean, directory: string, abort: AbortSignal) {
    const { exempt, sealsDir } = this.#options
    const pruned = await Promise.all([...exempt, sealsDir].map(resolvePath))
    return walk({ roots, pruned: outermost(pruned), content, directory: await resolvePath(directory) }, abort)
  }
}

const pathsOf = (homes: readonly RegisteredHome[]): string[] => [...new Set(homes.map((home) => home.path))].sort()

/** Where walks begin: every home once, and beside it a symlink that leads to one, which is an entry of its own. */
const rootsOf = (homes: readonly RegisteredHome[]): readonly string[] =>
  outermost([...pathsOf(homes), ...homes.flatMap(linkOf)])

const linkOf = ({ name, linked }: RegisteredHome): string[] => (linked ? [name] : [])

/** Paths that were asked for by name: one that is not there is a mistake, and would prove nothing. */
async function namedHomes(paths: readonly string[]): Promise<RegisteredHome[]> {
  return Promise.all(
    paths.map(async (name) => {
      const path = await resolvePath(name)
      const found = await lstat(path).catch((error: NodeJS.ErrnoException) => error)
      if (found instanceof Error && found.code !== 'EACCES') {
        throw new LazarusError('invalid_request', `${name} cannot be sealed: ${found.message}`, {
          details: { path: name },
        })
      }
      return { name: path, path, linked: false }
    }),
  )
}

export const createHomeWatch = (options: HomeWatchOptions): HomeWatch => new Homes(options)
