import { mkdir, readdir, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LazarusError } from '../kernel/errors.ts'
import { randomName, removeOwnTree, syncDirectory } from './durable.ts'
import { bytes, git, gitReason, isDiskFull } from './git.ts'
import type { Stream } from './stream.ts'

export interface ReceiveOptions {
  /** Our bare repository; its alternates count as known objects. */
  readonly repository: string
  /** Refuse objects that fsck would refuse. For what agents made; an origin is taken as it is. */
  readonly strict: boolean
  readonly max_bytes: number
  readonly abort: AbortSignal
  readonly refuse: (message: string, reason: string) => LazarusError
}

/** Objects that came from elsewhere and are visible to nobody but the calls that are given `environment`. */
export interface Quarantine extends AsyncDisposable {
  readonly environment: Readonly<Record<string, string>>
  /** Every object that the tips need is there, in quarantine or in the repository. A tip is an id, or `<id>^{commit}`. */
  requireConnected(tips: readonly string[]): Promise<void>
  /** Moves the objects into the repository, durable before it resolves. */
  admit(): Promise<void>
}

/**
 * Reads a pack that comes out of the airlock. When both ends failed, the reason of the sender is the telling one;
 * a sender that failed after a whole pack is not believed either.
 */
export async function receiveFrom(stream: Stream, options: ReceiveOptions): Promise<Quarantine> {
  const received = await receivePack(stream.chunks, options).then(
    (quarantine) => ({ quarantine }),
    (error: unknown) => ({ error }),
  )
  const sender = await stream.done
  const failed = sender !== null && sender.exit_code !== 0
  if ('error' in received && !failed) throw received.error
  if (!failed && 'quarantine' in received) return received.quarantine
  if ('quarantine' in received) await received.quarantine[Symbol.asyncDispose]()
  options.abort.throwIfAborted()
  if (sender?.ended === 'timeout') throw options.refuse('Reading took too long', 'time-out in the airlock')
  const reason = gitReason(sender?.stderr ?? '')
  if (isDiskFull(reason))
    throw new LazarusError('limit_exceeded', `The work needs more scratch space than the airlock has: ${reason}`)
  throw options.refuse('git failed in the airlock', reason)
}

/** Reads a pack into quarantine beside the repository. Nothing in it is believed. */
async function receivePack(pack: AsyncIterable<Uint8Array>, options: ReceiveOptions): Promise<Quarantine> {
  const directory = join(options.repository, `incoming-${randomName()}`)
  await mkdir(join(directory, 'pack'), { recursive: true, mode: 0o700 })
  const environment = {
    GIT_OBJECT_DIRECTORY: directory,
    GIT_ALTERNATE_OBJECT_DIRECTORIES: join(options.repository, 'objects'),
    GIT_QUARANTINE_PATH: directory,
  }
  const quarantine: Quarantine = {
    environment,
    requireConnected: (tips) => requireConnected(tips, environment, options),
    admit: () => admit(directory, options.repository),
    [Symbol.asyncDispose]: () => removeOwnTree(directory),
  }
  try {
    await indexPack(pack, environment, options)
    return quarantine
  } catch (error) {
    await quarantine[Symbol.asyncDispose]()
    throw error
  }
}

async function indexPack(
  pack: AsyncIterable<Uint8Array>,
  environment: Record<string, string>,
  options: ReceiveOptions,
): Promise<void> {
  const { repository, strict, max_bytes, abort } = options
  const args = ['index-pack', '--stdin', '--fix-thin', `--max-input-size=${max_bytes}`, ...(strict ? ['--strict'] : [])]
  const done = await git(args, {
    repository,
    environment,
    abort,
    stdin: pack,
    max_stdout_bytes: 4096,
    timeout_ms: 3_600_000,
  })
  if (done.exit_code === 0) return
  const reason = gitReason(done.stderr)
  if (/exceeds maximum allowed size/.test(reason)) {
    throw new LazarusError('limit_exceeded', `The commits are larger than ${max_bytes} bytes`, {
      details: { max_bytes },
    })
  }
  if (isDiskFull(reason)) throw new LazarusError('storage_full', `The disk is full: ${reason}`)
  throw options.refuse('The objects failed the check', reason)
}

async function requireConnected(
  tips: readonly string[],
  environment: Record<string, string>,
  options: ReceiveOptions,
): Promise<void> {
  const { repository, abort } = options
  const stdin = bytes(`${tips.join('\n')}\n`)
  const args = ['rev-list', '--objects', '--quiet', '--stdin', '--not', '--all']
  const done = await git(args, { repository, environment, abort, stdin, max_stdout_bytes: 4096 })
  if (done.exit_code !== 0) throw options.refuse('Objects are missing', gitReason(done.stderr))
}

/** The index goes last: a pack without one does not exist for git. */
async function admit(quarantine: string, repository: string): Promise<void> {
  const target = join(repository, 'objects', 'pack')
  const files = (await readdir(join(quarantine, 'pack'))).filter((name) =>
    /^pack-[0-9a-f]+\.(pack|rev|idx)$/.test(name),
  )
  const last = (name: string) => (name.endsWith('.idx') ? 1 : 0)
  for (const name of files.toSorted((a, b) => last(a) - last(b)))
    await rename(join(quarantine, 'pack', name), join(target, name))
  await syncDirectory(target)
}

/** Quarantines that a killed daemon left. */
export async function sweepQuarantines(repository: string, older_than_ms: number): Promise<void> {
  for (const name of await readdir(repository)) {
    const path = join(repository, name)
    if (name.startsWith('incoming-') && (await stat(path)).mtimeMs < older_than_ms) await removeOwnTree(path)
  }
}
