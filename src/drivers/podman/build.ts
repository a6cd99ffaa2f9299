import { createHash } from 'node:crypto'
import { lstat, readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { type PackOptions, pack } from 'tar-fs'
import { LazarusError } from '../../kernel/errors.ts'
import type { PodmanClient } from './client.ts'
import { isGone, statusOf, translate } from './errors.ts'

const MAX_ENTRIES = 20_000
const MAX_BYTES = 512 * 1024 ** 2
const BUILD_TIMEOUT_MS = 10 * 60_000
const KEPT_LINES = 20

/**
 * Builds the image of a Containerfile with its own directory as the context, once: the tag is the hash of the context.
 * The directory is the operator's own, not a layer. Returns the tag; image_unavailable with the last lines of a build
 * that failed.
 */
export async function buildImage(client: PodmanClient, containerfile: string, abort: AbortSignal): Promise<string> {
  const tag = await builtTag(containerfile)
  try {
    await client.image(tag)
    return tag
  } catch (error) {
    if (!isGone(error) && statusOf(error) !== 500) throw translate(error, `The image ${tag} cannot be read`)
  }
  await build(client, containerfile, tag, AbortSignal.any([abort, AbortSignal.timeout(BUILD_TIMEOUT_MS)]))
  return tag
}

export async function builtTag(containerfile: string): Promise<string> {
  await checkContext(containerfile)
  return `localhost/lazarus-built:${(await hashOf(containerfile)).slice(0, 24)}`
}

const unavailable = (message: string, remedy: string, cause?: unknown) =>
  new LazarusError('image_unavailable', message, { remedy, cause })

/** Bounded, and only what a tar of a context can hold: a FIFO would stop the packer for ever. */
async function checkContext(containerfile: string): Promise<void> {
  const root = dirname(containerfile)
  const file = await lstat(containerfile).catch(() => null)
  if (!file?.isFile())
    throw unavailable(`There is no Containerfile ${containerfile}.`, 'Correct containerfile in the policy.')
  let [entries, bytes] = [0, 0]
  for await (const path of walk(root)) {
    const fact = await lstat(path)
    if (!fact.isFile() && !fact.isDirectory() && !fact.isSymbolicLink()) {
      throw unavailable(
        `${path} is neither file, directory nor symlink, so it cannot be in a build context.`,
        'Keep the Containerfile in a directory of its own.',
      )
    }
    entries += 1
    bytes += fact.size
    if (entries > MAX_ENTRIES || bytes > MAX_BYTES) {
      throw new LazarusError(
        'limit_exceeded',
        `The build context ${root} has more than ${MAX_ENTRIES} entries or ${MAX_BYTES} bytes.`,
        {
          remedy: 'Keep the Containerfile in a directory of its own.',
        },
      )
    }
  }
}

async function* walk(directory: string): AsyncGenerator<string> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    yield path
    if (entry.isDirectory()) yield* walk(path)
  }
}

/** The same bytes for the same content: sorted, without times and owners. */
const context = (containerfile: string): Readable =>
  pack(dirname(containerfile), {
    sort: true,
    map: (header) => ({ ...header, mtime: new Date(0), uid: 0, gid: 0, uname: '', gname: '' }),
  } as PackOptions) as unknown as Readable

async function hashOf(containerfile: string): Promise<string> {
  const hash = createHash('sha256').update(`${basename(containerfile)}\n`)
  for await (const chunk of context(containerfile)) hash.update(chunk as Uint8Array)
  return hash.digest('hex')
}

async function build(client: PodmanClient, containerfile: string, tag: string, abort: AbortSignal): Promise<void> {
  const lines: string[] = []
  try {
    const options = {
      t: tag,
      dockerfile: basename(containerfile),
      rm: true,
      forcerm: true,
      // One layer, and no image in between that a failed build would leave.
      layers: false,
      pull: false,
      abortSignal: abort,
    }
    const output = await client.docker.buildImage(context(containerfile), options)
    const failure = await readBuild(output as AsyncIterable<Uint8Array>, lines)
    if (failure !== null) throw new Error(failure)
    await client.image(tag)
  } catch (error) {
    abort.throwIfAborted()
    const known = translate(error, `${containerfile} does not build`, 'image_unavailable')
    const tail = lines.slice(-KEPT_LINES).join('\n')
    throw new LazarusError(known.code, `${known.message}\n${tail}`, {
      remedy: `Correct it, and try: podman build ${dirname(containerfile)}`,
      cause: error,
    })
  }
}

/** The answer is 200 even for a failed build; each line is JSON with "stream" or "error". */
async function readBuild(output: AsyncIterable<Uint8Array>, lines: string[]): Promise<string | null> {
  let failure: string | null = null
  let rest = ''
  for await (const chunk of output) {
    const parts = (rest + Buffer.from(chunk).toString()).split('\n')
    rest = parts.pop()!.slice(-1_000_000)
    for (const part of parts.filter(Boolean)) {
      const line = JSON.parse(part) as { stream?: string; error?: string }
      if (line.error) failure = line.error
      if (line.stream?.trim()) lines.push(line.stream.trimEnd())
      if (lines.length > 10 * KEPT_LINES) lines.splice(0, lines.length - KEPT_LINES)
    }
  }
  return failure
}
