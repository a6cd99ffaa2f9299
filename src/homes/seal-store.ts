import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type SealFile, sealFile } from '../contract/home.ts'
import { sealId } from '../contract/ids.ts'
import { LazarusError } from '../kernel/errors.ts'

/** How long a seal that nobody discarded is kept. */
const KEPT_MS = 30 * 24 * 3600 * 1000
const SCRATCH = 'scratch-'

export interface Digest {
  readonly sha256: string
  readonly entries: number
}

/** Reads a file of records once: its hash, and how many records it holds. */
export async function digest(file: string, abort: AbortSignal): Promise<Digest> {
  const hash = createHash('sha256')
  let entries = 0
  for await (const chunk of createReadStream(file, {
    highWaterMark: 256 * 1024,
    signal: abort,
  }) as AsyncIterable<Buffer>) {
    hash.update(chunk)
    for (let at = chunk.indexOf(0); at !== -1; at = chunk.indexOf(0, at + 1)) entries += 1
  }
  return { sha256: hash.digest('hex'), entries }
}

async function makeDurable(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Seals on disk: `<dir>/<seal_id>/` with `entries` (records of `entry.ts`, sorted) and `seal.json`. A seal appears
 * whole by a rename, durable, because a destroy that outlives a crash of the host is proved by a seal from before it.
 */
export class SealStore {
  readonly #directory: string
  readonly #scratches = new Set<string>()

  constructor(directory: string) {
    this.#directory = directory
  }

  /** A private directory that is gone at the end of the scope, unless it became a seal. */
  async scratch(): Promise<{ readonly path: string } & AsyncDisposable> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    const path = await mkdtemp(join(this.#directory, SCRATCH))
    this.#scratches.add(path)
    return {
      path,
      [Symbol.asyncDispose]: async () => {
        await rm(path, { recursive: true, force: true })
        this.#scratches.delete(path)
      },
    }
  }

  async keep(scratch: string, file: SealFile): Promise<void> {
    const header = await open(join(scratch, 'seal.json'), 'wx', 0o600)
    await header.writeFile(`${JSON.stringify(file)}\n`)
    await header.close()
    for (const path of [join(scratch, 'seal.json'), join(scratch, 'entries'), scratch]) await makeDurable(path)
    await rename(scratch, this.#path(file.seal.seal_id))
    await makeDurable(this.#directory)
  }

  /** The seal, after its records were checked against it, and where they are. */
  async load(seal_id: string, abort: AbortSignal): Promise<SealFile & { readonly entriesFile: string }> {
    const file = await this.#header(seal_id)
    const entriesFile = join(this.#path(seal_id), 'entries')
    const found = await digest(entriesFile, abort).catch((cause: unknown) => {
      abort.throwIfAborted()
      throw damaged(seal_id, 'its records cannot be read', cause)
    })
    if (found.sha256 !== file.sha256 || found.entries !== file.seal.entries) {
      throw damaged(seal_id, `it holds other records than the ${file.seal.entries} that were sealed`)
    }
    return { ...file, entriesFile }
  }

  async discard(seal_id: string): Promise<void> {
    await rm(this.#path(seal_id), { recursive: true, force: true })
  }

  /** Removes what a killed pit left half-made, and seals past their time. */
  async sweep(now_ms: number): Promise<void> {
    const names = await readdir(this.#directory).catch(() => [])
    for (const name of names) {
      const path = join(this.#directory, name)
      if (this.#scratches.has(path)) continue
      const old = name.startsWith('seal_') && (await stat(path)).mtimeMs < now_ms - KEPT_MS
      if (old || name.startsWith(SCRATCH)) await rm(path, { recursive: true, force: true })
    }
  }

  async #header(seal_id: string): Promise<SealFile> {
    const text = await readFile(join(this.#path(seal_id), 'seal.json'), 'utf8').catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') throw new LazarusError('seal_not_found', `There is no seal ${seal_id}`)
        throw damaged(seal_id, 'seal.json cannot be read', error)
      },
    )
    const parsed = sealFile.safeParse(parseJson(text))
    if (!parsed.success || parsed.data.seal.seal_id !== seal_id)
      throw damaged(seal_id, 'seal.json is not what was written')
    return parsed.data
  }

  /** Ids become names of directories: nothing but an id gets that far. */
  #path(seal_id: string): string {
    if (!sealId.safeParse(seal_id).success) {
      throw new LazarusError('seal_not_found', `${JSON.stringify(seal_id)} is not the id of a seal`)
    }
    return join(this.#directory, seal_id)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const damaged = (seal_id: string, why: string, cause?: unknown): LazarusError =>
  new LazarusError('seal_damaged', `Seal ${seal_id} is damaged: ${why}`, { cause, details: { seal_id } })
