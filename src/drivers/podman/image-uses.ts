import { mkdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../kernel/clock.ts'

const NOTED_EVERY_MS = 3_600_000

/**
 * When images were last used: Podman does not say. One empty file per image, as old as its last use, beside Podman's
 * store, so that every pit of this user sees the uses of the others.
 */
export class ImageUses {
  readonly #directory: string
  readonly #clock: Clock
  readonly #noted = new Map<string, number>()

  constructor(directory: string, clock: Clock) {
    this.#directory = directory
    this.#clock = clock
  }

  /** Best effort: no spawn fails for a note. Where Podman is another machine's there is no place for one. */
  async note(id: string): Promise<void> {
    const now = this.#clock.now()
    if (now - (this.#noted.get(id) ?? 0) < NOTED_EVERY_MS) return
    this.#noted.set(id, now)
    try {
      await mkdir(this.#directory, { mode: 0o700 }).catch(() => {}) // it is there
      await writeFile(this.#path(id), '', { mode: 0o600 })
      await utimes(this.#path(id), now / 1000, now / 1000)
    } catch {}
  }

  /** An image that is seen for the first time counts as used now. */
  async last(id: string): Promise<number> {
    const found = await stat(this.#path(id)).catch(() => null)
    if (found !== null) return found.mtimeMs
    await this.note(id)
    return this.#clock.now()
  }

  async forget(id: string): Promise<void> {
    this.#noted.delete(id)
    await rm(this.#path(id), { force: true })
  }

  #path(id: string): string {
    return join(this.#directory, id)
  }
}
