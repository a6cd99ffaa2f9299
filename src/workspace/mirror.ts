import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LazarusError } from '../kernel/errors.ts'
import { KeyedQueue } from '../kernel/queues.ts'
import { layBareRepository } from './bare-repository.ts'
import { buildingName, exists, makePrivateDirectory, removeOwnTree, syncDirectory } from './durable.ts'
import { git, text } from './git.ts'
import type { Fetched, MirrorDeps } from './mirror-deps.ts'
import { fetchLocal } from './mirror-local.ts'
import { packMirror } from './mirror-packs.ts'
import { fetchRemote } from './mirror-remote.ts'
import { sweepQuarantines } from './receive.ts'
import { parseSource, repositoryKey } from './source.ts'

export interface Resolved {
  readonly shown: string
  readonly key: string
  readonly ref: string | null
  readonly commit: string
}

/** Asked for each mirror whose time is over: whether a base borrows its objects. */
export type IsBorrowed = (key: string) => Promise<boolean>

/**
 * Trusted mirrors: bare, ours alone, fetched with our configuration. No object is ever deleted in one, because bases
 * and trusted repositories borrow them; it goes as a whole, when no base is left and nobody asked for long.
 */
export class Mirrors {
  readonly #deps: MirrorDeps
  readonly #serial = new KeyedQueue()

  constructor(deps: MirrorDeps) {
    this.#deps = deps
  }

  path(key: string): string {
    return join(this.#deps.directory, `${key}.git`)
  }

  /** Brings the mirror up to date and resolves the ref in it. One at a time per repository. */
  async resolve(repo: string, ref: string | null, abort: AbortSignal): Promise<Resolved> {
    const source = parseSource(repo)
    if (source.kind === 'remote') {
      return this.#inMirror(source.key, source.shown, ref, abort, (path) =>
        fetchRemote(source, ref, path, this.#deps, abort),
      )
    }
    const fetchInto = await fetchLocal(source, ref, this.#deps, abort)
    return this.#inMirror(repositoryKey(`file://${fetchInto.path}`), source.shown, ref, abort, fetchInto.into)
  }

  #inMirror(
    key: string,
    shown: string,
    ref: string | null,
    abort: AbortSignal,
    fetch: (mirror: string) => Promise<Fetched>,
  ): Promise<Resolved> {
    return this.#serial.run(key, async () => {
      abort.throwIfAborted()
      const final = this.path(key)
      const isNew = !(await exists(final))
      const mirror = isNew ? await this.#layMirror(final) : final
      try {
        const fetched = await fetch(mirror)
        const commit = await resolveRef(mirror, ref, fetched, shown, abort)
        await noteUse(mirror, this.#deps.clock.now())
        if (isNew) {
          this.#deps.faults('mirror.appear')
          await rename(mirror, final)
          await syncDirectory(this.#deps.directory)
        }
        return { shown, key, ref, commit }
      } catch (error) {
        if (isNew) await removeOwnTree(mirror)
        throw error
      }
    })
  }

  /** Deletes what interrupted fetches left, and mirrors that nobody needs any more. */
  async sweep(unfinished_before_ms: number, isBorrowed: IsBorrowed): Promise<void> {
    for (const name of await readdir(this.#deps.directory).catch(() => [])) {
      const path = join(this.#deps.directory, name)
      if (!name.startsWith('.'))
        await this.#sweepMirror(name.slice(0, -'.git'.length), unfinished_before_ms, isBorrowed)
      else if ((await stat(path)).mtimeMs < unfinished_before_ms) await removeOwnTree(path)
    }
  }

  /**
   * Under the lock of `resolve`, which notes the use before it gives the mirror out: whoever resolved has the whole
   * time to take a base. From the rename on the name is free, and a crash leaves a leftover for the next sweep.
   */
  #sweepMirror(key: string, unfinished_before_ms: number, isBorrowed: IsBorrowed): Promise<void> {
    return this.#serial.run(key, async () => {
      const path = this.path(key)
      await sweepQuarantines(path, unfinished_before_ms)
      const used = await lastUse(path)
      if (used === null) return noteUse(path, this.#deps.clock.now())
      if (this.#deps.clock.now() - used < this.#deps.unused_ms || (await isBorrowed(key))) {
        const failure = await packMirror(path, unfinished_before_ms)
        if (failure !== null) this.#deps.onProgress(`the mirror ${key} is left with many small packs: ${failure}`)
        return
      }
      this.#deps.faults('mirror.sweep')
      const gone = buildingName(path)
      await rename(path, gone)
      await removeOwnTree(gone)
    })
  }

  /** Written by hand rather than by `git init`: no template, nothing that differs between versions of git. */
  async #layMirror(final: string): Promise<string> {
    const mirror = buildingName(final)
    this.#deps.faults('mirror.lay')
    await makePrivateDirectory(this.#deps.directory)
    await layBareRepository(mirror, 'ref: refs/heads/main', [])
    return mirror
  }
}

/** Not synced: what a power loss takes back is a few uses of one mirror, against weeks. */
const noteUse = (mirror: string, now_ms: number): Promise<void> => writeFile(join(mirror, 'used'), String(now_ms))

/** null when it cannot be told. */
async function lastUse(mirror: string): Promise<number | null> {
  const used = Number(await readFile(join(mirror, 'used'), 'utf8').catch(() => ''))
  return used > 0 ? used : null
}

/** A branch, a tag, then a commit by its (abbreviated) id, in the order of git itself; without a ref the remote HEAD. */
async function resolveRef(
  mirror: string,
  ref: string | null,
  fetched: Fetched,
  shown: string,
  abort: AbortSignal,
): Promise<string> {
  if (ref === null || ref === 'HEAD') {
    if (fetched.head !== null) return fetched.head
    throw new LazarusError('ref_not_found', `${shown} has no commit at its HEAD`, {
      details: { repo: shown, reason: 'the HEAD is unborn' },
    })
  }
  const candidates = [`refs/heads/${ref}`, `refs/tags/${ref}`, ...(ref.startsWith('refs/') ? [ref] : [])]
  if (/^[0-9a-f]{4,40}$/i.test(ref)) candidates.push(ref)
  let reason = ''
  for (const candidate of candidates) {
    const args = ['rev-parse', '--verify', '--end-of-options', `${candidate}^{commit}`]
    const done = await git(args, { repository: mirror, abort, max_stdout_bytes: 4096 })
    if (done.exit_code === 0) return text(done)
    reason = done.stderr.trim()
  }
  if (fetched.asked !== null) return fetched.asked
  throw new LazarusError('ref_not_found', `${shown} has no branch, tag or commit "${ref}"`, {
    details: { repo: shown, ref, reason },
  })
}
