import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { Checkout } from './checkout.ts'
import { type GitPlace, git, tryGit } from './git.ts'
import type { Session } from './session.ts'

const ATTEMPTS = 3

/** What of a checkout is handed over: one commit with its history, under the name that agents will see. */
export interface Handover {
  readonly commit: string
  /** `refs/heads/…` where the commit has such a name, else one that only keeps it. */
  readonly ref: string
}

/**
 * Brings a commit of a checkout into a bare repository of our own, `<state_dir>/inbox/<name>-<hash>.git`, one for
 * each checkout: the pit finds mirror and base again. The checkout pushes, because git reads a checkout of root for
 * a push of its own, but never for a clone. Runs side by side do not harm each other: what one asks the pit for is a
 * commit, and no commit is taken away while it is young. The pit drops what nobody used for long.
 */
export async function handOver(session: Session, checkout: Checkout, handover: Handover): Promise<string> {
  const path = join(session.state_dir, 'inbox', await inboxName(checkout))
  const inbox: GitPlace = { ...checkout, cwd: path, safe: false }
  for (let attempt = 1; ; attempt += 1) {
    try {
      await ensureInbox(session, path)
      await push(checkout, inbox, handover)
      return path
    } catch (error) {
      // Another run on the same checkout moved the same ref, or the pit dropped the inbox just now.
      if (attempt === ATTEMPTS || session.interrupted.aborted) throw error
    }
  }
}

/** Where history was cut off is part of the name: a repository that once was shallow stays so. */
async function inboxName(checkout: Checkout): Promise<string> {
  const path = await git(checkout, ['rev-parse', '--git-path', 'shallow'])
  const shallow = await readFile(resolve(checkout.cwd, path), 'utf8').catch(() => '')
  const hash = createHash('sha256').update(`${checkout.cwd}\0${shallow}`).digest('hex').slice(0, 16)
  const name = basename(checkout.cwd)
    .replaceAll(/[^A-Za-z0-9_]+/g, '-')
    .slice(0, 40)
  return `${name}-${hash}.git`
}

const CONFIG = `[core]
	repositoryformatversion = 0
	bare = true
	hooksPath = /dev/null
[receive]
	denyDeletes = false
	denyNonFastForwards = false
	fsckObjects = false
	shallowUpdate = true
[gc]
	autoDetach = false
[maintenance]
	autoDetach = false
`

/** Notes the use (the time of the directory itself), after making it where it is missing: whole, by a rename. */
async function ensureInbox(session: Session, path: string): Promise<void> {
  if ((await stat(path).catch(() => null)) === null) {
    const building = join(path, '..', `.new-${session.settings.random()}`)
    await mkdir(join(building, 'objects'), { recursive: true, mode: 0o700 })
    await mkdir(join(building, 'refs'))
    await writeFile(join(building, 'HEAD'), 'ref: refs/lazarus/none\n') // every branch may be dropped
    await writeFile(join(building, 'config'), CONFIG)
    await rename(building, path).catch(() => rm(building, { recursive: true })) // another run was first
  }
  const now = session.io.now() / 1000
  await utimes(path, now, now)
}

type Refs = ReadonlyMap<string, string>

async function push(checkout: Checkout, inbox: GitPlace, { commit, ref }: Handover): Promise<void> {
  const [present, tags, reachable] = await Promise.all([
    refsOf(inbox, []),
    refsOf(checkout, ['refs/tags']),
    refsOf(checkout, [`--merged=${commit}`, 'refs/tags']),
  ])
  const stale = [...present].filter(([name, id]) => name !== ref && tags.get(name) !== id).map(([name]) => name)
  if (stale.length > 0) await tryGit(checkout, [...PUSH, '--delete', inbox.cwd, ...stale])
  const wanted = [...reachable].filter(([name, id]) => present.get(name) !== id).map(([name]) => `${name}:${name}`)
  if (present.get(ref) !== commit) wanted.push(`${commit}:${ref}`)
  if (wanted.length > 0) await git(checkout, [...PUSH, '--force', inbox.cwd, ...wanted])
}

/** The user's own settings for pushes are meant for other places. */
const PUSH = [
  '-c',
  'core.hooksPath=/dev/null',
  '-c',
  'protocol.file.allow=always',
  '-c',
  'push.pushOption=',
  'push',
  '--quiet',
  '--no-verify',
  '--no-signed',
  '--no-follow-tags',
  '--recurse-submodules=no',
]

async function refsOf(place: GitPlace, args: readonly string[]): Promise<Refs> {
  const text = await git(place, ['for-each-ref', '--format=%(refname) %(objectname)', ...args])
  return new Map(
    text
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(' ') as [string, string]),
  )
}
