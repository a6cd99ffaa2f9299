import { randomBytes, randomUUID } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHomeWatch, type HomeWatchOptions } from '../../src/homes/home-watch.ts'
import { silentLog } from '../../src/kernel/log.ts'
import type { HomeWatch } from '../../src/ports/home-watch.ts'

export const never = new AbortController().signal
export const rejection = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

/** A directory with two homes, alice and bob, and a watch over them. Gone at the end of the scope. */
export class Scratch implements Disposable {
  readonly root = realpathSync(mkdtempSync(join(tmpdir(), 'lazarus-homes-')))
  readonly seals = join(this.root, 'seals')
  readonly alice = this.home('alice')
  readonly bob = this.home('bob')

  home(name: string): string {
    mkdirSync(join(this.root, 'home', name), { recursive: true })
    return join(this.root, 'home', name)
  }

  directory(...names: string[]): string {
    mkdirSync(join(this.root, ...names), { recursive: true })
    return join(this.root, ...names)
  }

  watch(changes: Partial<HomeWatchOptions> = {}): HomeWatch {
    return createHomeWatch({
      globs: [`${this.root}/home/*`],
      exempt: [],
      sealsDir: this.seals,
      clock: { now: () => Date.now(), monotonic: () => performance.now() },
      entropy: { uuid: randomUUID, token: (bytes) => randomBytes(bytes).toString('base64url') },
      log: silentLog,
      ...changes,
    })
  }

  [Symbol.dispose](): void {
    for (const closed of [join(this.alice, 'closed'), join(this.root, 'closed')]) {
      try {
        chmodSync(closed, 0o700)
      } catch {
        // Not every test closes one.
      }
    }
    rmSync(this.root, { recursive: true, force: true })
  }
}
