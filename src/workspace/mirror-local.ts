import { join } from 'node:path'
import { LazarusError } from '../kernel/errors.ts'
import type { HullMount } from '../linux/mount-table.ts'
import type { Airlock } from './airlock.ts'
import { LIST_SOURCE, PACK_SOURCE } from './airlock-scripts.ts'
import { addShallow } from './bare-repository.ts'
import { replaceFile } from './durable.ts'
import { bytes, git, gitReason, text } from './git.ts'
import { findLocalRepository } from './local-source.ts'
import type { Fetched, MirrorDeps } from './mirror-deps.ts'
import { receiveFrom } from './receive.ts'
import type { LocalSource } from './source.ts'
import { streamOf } from './stream.ts'

/**
 * A repository on this host may be as hostile as any layer, and git obeys its configuration: it is read in the
 * airlock, where nothing exists but the directories that were found and checked. A listing and a pack come out.
 */
export async function fetchLocal(source: LocalSource, ref: string | null, deps: MirrorDeps, abort: AbortSignal) {
  const found = await findLocalRepository(source.path, deps.refuseHome)
  const mounts = found.directories.map(
    (path): HullMount => ({ kind: 'bind', source: path, target: path, read_only: true }),
  )
  const into = async (mirror: string): Promise<Fetched> => {
    const listing = await list(source.shown, found.git_dir, mounts, ref, deps.airlock, abort)
    await addShallow(mirror, listing.shallow)
    const tips = [...new Set([...listing.refs.values(), listing.head, listing.asked].filter((id) => id !== null))]
    const unknown = await missingIn(mirror, tips, abort)
    if (unknown.length > 0) {
      const known = tips.filter((id) => !unknown.includes(id))
      await bringObjects(source.shown, found.git_dir, mounts, { unknown, known }, mirror, deps, abort)
    }
    deps.faults('mirror.refs')
    await replaceFile(join(mirror, 'packed-refs'), packedRefs(listing.refs))
    return { head: listing.head, asked: listing.asked }
  }
  return { path: found.git_dir, into }
}

interface Listing {
  readonly head: string | null
  readonly asked: string | null
  readonly shallow: readonly string[]
  readonly refs: ReadonlyMap<string, string>
}

const LISTING_BYTES = 64 * 1024 ** 2

async function list(
  shown: string,
  git_dir: string,
  mounts: readonly HullMount[],
  ref: string | null,
  airlock: Airlock,
  abort: AbortSignal,
): Promise<Listing> {
  const passage = {
    script: LIST_SOURCE,
    args: [git_dir, ref !== null && /^[0-9a-f]{4,40}$/i.test(ref) ? ref : ''],
    mounts,
    own_root: true,
    unprivileged: true,
    abort,
  }
  const done = await airlock.pass(passage, { max_stdout_bytes: LISTING_BYTES })
  if (done.ended === 'overflow') throw unavailable(shown, 'it has too many refs')
  if (done.exit_code !== 0)
    throw unavailable(shown, done.ended === 'timeout' ? 'git did not answer in time' : gitReason(done.stderr))
  return parseListing(text(done), shown)
}

/** What came out of the airlock is believed only where it has the expected form. */
export function parseListing(text: string, shown: string): Listing {
  const refs = new Map<string, string>()
  const shallow: string[] = []
  let head: string | null = null
  let asked: string | null = null
  for (const line of text.split('\n').filter(Boolean)) {
    const [word, value = '', name = ''] = line.split(' ')
    if (word === 'format' && value === 'sha1') continue
    if (word === 'format')
      throw unavailable(shown, `its object format is ${value.slice(0, 20)}, only sha1 is supported`)
    if (!/^[0-9a-f]{40}$/.test(value)) throw unavailable(shown, 'git listed something that is not an object id')
    if (word === 'head') head = value
    else if (word === 'asked') asked = value
    else if (word === 'shallow') shallow.push(value)
    else if (word === 'ref' && isRefName(name)) refs.set(name, value)
    else throw unavailable(shown, `git listed an odd ref: ${JSON.stringify(name.slice(0, 200))}`)
  }
  return { head, asked, shallow, refs }
}

/** The rules of git-check-ref-format, for branches and tags. */
export const isRefName = (name: string): boolean =>
  /^refs\/(heads|tags)\/[^\p{Cc} ~^:?*[\\]+$/u.test(name) &&
  name.length <= 1024 &&
  !/\.\.|@\{|\/\/|\.$|\/$|\.lock(\/|$)|\/\./.test(name)

export function packedRefs(refs: ReadonlyMap<string, string>): string {
  const bytewise = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))
  const lines = [...refs.keys()].toSorted(bytewise).map((name) => `${refs.get(name)} ${name}\n`)
  return `# pack-refs with: sorted \n${lines.join('')}`
}

async function missingIn(mirror: string, ids: readonly string[], abort: AbortSignal): Promise<readonly string[]> {
  const done = await git(['cat-file', '--batch-check=%(objectname)'], {
    repository: mirror,
    abort,
    stdin: bytes(`${ids.join('\n')}\n`),
  })
  return text(done)
    .split('\n')
    .filter((line) => line.endsWith(' missing'))
    .map((line) => line.slice(0, 40))
}

async function bringObjects(
  shown: string,
  git_dir: string,
  mounts: readonly HullMount[],
  { unknown, known }: { readonly unknown: readonly string[]; readonly known: readonly string[] },
  mirror: string,
  deps: MirrorDeps,
  abort: AbortSignal,
): Promise<void> {
  deps.onProgress(`Copying ${shown}`)
  const passage = {
    script: PACK_SOURCE,
    args: [git_dir],
    mounts,
    own_root: true,
    unprivileged: true,
    long: true,
    abort,
  }
  const stdin = bytes(`${unknown.join('\n')}\n--not\n${known.join('\n')}\n`)
  await using quarantine = await receiveFrom(
    streamOf((on_stdout) =>
      deps.airlock.pass(passage, { stdin, on_stdout, max_stdout_bytes: Number.MAX_SAFE_INTEGER }),
    ),
    {
      repository: mirror,
      strict: false,
      max_bytes: deps.max_bytes,
      abort,
      refuse: (message, reason) => unavailable(shown, `${message}: ${reason}`),
    },
  )
  await quarantine.requireConnected(unknown)
  deps.faults('mirror.objects')
  await quarantine.admit()
}

const unavailable = (shown: string, reason: string) =>
  new LazarusError('repository_unavailable', `The repository ${shown} cannot be read: ${reason}`, {
    details: { repo: shown, reason },
  })
