import { readdir, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LazarusError } from '../kernel/errors.ts'
import { layBareRepository } from './bare-repository.ts'
import { buildingName, exists, makePrivateDirectory, removeOwnTree, syncDirectory } from './durable.ts'
import { git, text } from './git.ts'
import type { Fetched, MirrorDeps } from './mirror-deps.ts'
import { fetchLocal } from './mirror-local.ts'
import { fetchRemote } from './mirror-remote.ts'
import { sweepQuarantines } from './receive.ts'
import { Serial } from './serial.ts'
import { parseSource, repositoryKey } from './source.ts'

export interface Resolved {
  readonly shown: string
  readonly key: string
  readonly ref: string | null
  readonly commit: string
}

/**
 * Trusted mirrors: bare, ours alone, fetched with our configuration. Nothing is ever deleted in one, because bases
 * and trusted repositories borrow its objects.
 */
export class Mirrors {
  readonly #deps: MirrorDeps
  readonly #serial = new Serial()

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

  /** Deletes what interrupted fetches left; never an object. */
  async sweep(older_than_ms: number): Promise<void> {
    for (const name of await readdir(this.#deps.directory).catch(() => [])) {
      const path = join(this.#deps.directory, name)
      if (!name.startsWith('.new-')) await sweepQuarantines(path, older_than_ms)
      else if ((await stat(path)).mtimeMs < older_than_ms) await removeOwnTree(path)
    }
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
