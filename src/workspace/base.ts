import { mkdir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { BaseRef } from '../contract/mission.ts'
import type { Clock } from '../kernel/clock.ts'
import { KeyedQueue } from '../kernel/queues.ts'
import { layBase } from './base-checkout.ts'
import type { Faults } from './durable.ts'
import { buildingName, createFile, exists, makePrivateDirectory, removeOwnTree, syncDirectory } from './durable.ts'

export interface BaseDeps {
  /** `<state_dir>/bases`. */
  readonly directory: string
  readonly mirror: (repository_key: string) => string
  readonly clock: Clock
  /** A base without missions is kept this long after its last use, so that resolving and opening cannot be torn apart. */
  readonly grace_ms: number
  readonly faults: Faults
}

/**
 * Bases: one read-only checkout per commit, the lower layer of every seat that starts from it. It never changes
 * once its name exists. `missions/<id>` marks who uses it; `used` holds the time of the last use.
 */
export class Bases {
  readonly #deps: BaseDeps
  readonly #serial = new KeyedQueue()

  constructor(deps: BaseDeps) {
    this.#deps = deps
  }

  #home(base: BaseRef): string {
    return join(this.#deps.directory, base.repository_key ?? 'empty', base.commit ?? 'unborn')
  }

  tree(base: BaseRef): string {
    return join(this.#home(base), 'tree')
  }

  /** What the origin's branches and tags pointed at when the base was made. */
  async originTips(base: BaseRef): Promise<readonly string[]> {
    if (base.commit === null) return []
    const refs = await readFile(join(this.tree(base), '.git/packed-refs'), 'latin1')
    return refs
      .split('\n')
      .filter((line) => /^[0-9a-f]{40} /.test(line))
      .map((line) => line.slice(0, 40))
  }

  /** Makes the checkout, or finds it, and notes the use. */
  async ensure(base: BaseRef, abort: AbortSignal): Promise<void> {
    const home = this.#home(base)
    await this.#serial.run(home, async () => {
      abort.throwIfAborted()
      if (!(await exists(home))) await this.#build(base, home, abort)
      await writeFile(join(home, 'used'), String(this.#deps.clock.now())) // not synced: lost, it is no use of late
    })
  }

  async #build(base: BaseRef, home: string, abort: AbortSignal): Promise<void> {
    const building = buildingName(home)
    await makePrivateDirectory(dirname(home))
    try {
      this.#deps.faults('base.build')
      await mkdir(join(building, 'missions'), { recursive: true, mode: 0o700 })
      const mirror = base.repository_key === null ? null : this.#deps.mirror(base.repository_key)
      await layBase(join(building, 'tree'), base, mirror, this.#deps.clock.now(), abort)
      this.#deps.faults('base.appear')
      await rename(building, home)
      await syncDirectory(dirname(home))
    } catch (error) {
      await removeOwnTree(building)
      throw error
    }
  }

  /** Takes the mission's reference. Twice is once. */
  async hold(base: BaseRef, mission_id: string, abort: AbortSignal): Promise<void> {
    await this.ensure(base, abort)
    const marks = join(this.#home(base), 'missions')
    this.#deps.faults('base.hold')
    if (!(await exists(join(marks, mission_id)))) await createFile(join(marks, mission_id), '')
    await syncDirectory(marks)
  }

  async release(base: BaseRef, mission_id: string): Promise<void> {
    const marks = join(this.#home(base), 'missions')
    if (!(await exists(marks))) return
    this.#deps.faults('base.release')
    await rm(join(marks, mission_id), { force: true })
    await syncDirectory(marks)
  }

  /** Whether any base borrows from this mirror, be it one that is being built. */
  async borrowsFrom(repository_key: string): Promise<boolean> {
    return (await names(join(this.#deps.directory, repository_key))).length > 0
  }

  /** Deletes bases that no mission holds and nobody used of late, and what interrupted builds left. */
  async sweep(isKnown: (mission_id: string) => boolean): Promise<void> {
    for (const repository of await names(this.#deps.directory)) {
      const directory = join(this.#deps.directory, repository)
      for (const name of await names(directory)) {
        if (!name.startsWith('.')) await this.#dropUnknown(join(directory, name, 'missions'), isKnown)
        await this.#sweepOne(join(directory, name), name.startsWith('.'))
      }
      await rmdir(directory).catch(() => {}) // when it was the last one
    }
  }

  /** Marks of missions that a killed pit was about to open. */
  async #dropUnknown(marks: string, isKnown: (mission_id: string) => boolean): Promise<void> {
    for (const mission_id of await names(marks)) {
      const mark = join(marks, mission_id)
      if (!isKnown(mission_id) && (await this.#isOld(mark))) await rm(mark, { force: true })
    }
  }

  async #sweepOne(home: string, leftover: boolean): Promise<void> {
    await this.#serial.run(home, async () => {
      if (leftover ? !(await this.#isOld(home)) : await this.#isHeld(home)) return
      this.#deps.faults('base.sweep')
      const gone = buildingName(home)
      await rename(home, gone) // from here on the name is free, and a crash leaves a leftover for the next sweep
      await removeOwnTree(gone)
    })
  }

  async #isHeld(home: string): Promise<boolean> {
    if ((await readdir(join(home, 'missions'))).length > 0) return true
    const used = await readFile(join(home, 'used'), 'utf8').catch(() => '0')
    return this.#deps.clock.now() - Number(used) < this.#deps.grace_ms
  }

  async #isOld(path: string): Promise<boolean> {
    return this.#deps.clock.now() - (await stat(path)).mtimeMs >= this.#deps.grace_ms
  }
}

const names = (directory: string): Promise<readonly string[]> =>
  readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
