import { resolve } from 'node:path'
import { LazarusError } from '../kernel/errors.ts'
import { type Checkout, checkoutAround, isBareRepository } from './checkout.ts'
import { git, tryGit } from './git.ts'
import { type Handover, handOver } from './inbox.ts'
import { inert } from './render/human.ts'
import type { Session } from './session.ts'

/** What a mission is opened on, as fields of its request. */
export interface Source {
  /** Path or URL for the pit; undefined: the worktree starts empty. */
  readonly repo: string | undefined
  readonly ref: string | undefined
  /** What the copy is a copy of. */
  readonly display: string | undefined
}

const EMPTY: Source = { repo: undefined, ref: undefined, display: undefined }

const URL_LIKE = /^[a-z][a-z0-9+.-]*:\/\/|^[^/\s]+@[^/\s]+:|^[^/\s]{2,}:(?!\/\/)/i

export const isUrl = (repo: string): boolean => URL_LIKE.test(repo)

/**
 * A checkout lies in somebody's home, which the pit never opens: so this process, which is the user's own, hands
 * over a copy. URLs and bare repositories go to the pit as they are.
 */
export async function sourceOf(session: Session, repo: string | undefined, ref: string | undefined): Promise<Source> {
  if (repo === undefined || isUrl(repo) || session.isRemote) return { repo, ref, display: undefined }
  const path = resolve(session.io.cwd, repo)
  if (await isBareRepository(path)) return { repo: path, ref, display: undefined }
  const checkout = await checkoutAround(session, path)
  if (checkout !== null) return copyOf(session, checkout, ref)
  throw new LazarusError('repository_unavailable', `There is no git repository at ${path}`, {
    remedy: 'Name a checkout, a bare repository or a URL.',
  })
}

/** The checkout around the working directory; null when there is none. */
export async function sourceAround(session: Session, ref: string | undefined): Promise<Source | null> {
  const checkout = await checkoutAround(session, session.io.cwd)
  if (checkout === null) return null
  if (!session.isRemote) return copyOf(session, checkout, ref)
  throw new LazarusError(
    'repository_unavailable',
    `The pit behind --url cannot be given the checkout ${checkout.cwd}`,
    {
      remedy: 'Name a repository that the pit can reach with --repo, or use its socket.',
    },
  )
}

async function copyOf(session: Session, checkout: Checkout, ref: string | undefined): Promise<Source> {
  const commit = await tryGit(checkout, [
    'rev-parse',
    '--verify',
    '--quiet',
    '--end-of-options',
    `${ref ?? 'HEAD'}^{commit}`,
  ])
  if (commit === null && ref !== undefined)
    throw new LazarusError('ref_not_found', `${checkout.cwd} has no branch, tag or commit ${JSON.stringify(ref)}`)
  if (commit === null) {
    session.note(`note: ${checkout.cwd} has no commit yet; the mission starts empty`)
    return EMPTY
  }
  await tellUncommitted(session, checkout)
  const handover: Handover = { commit, ref: await nameOf(checkout, ref ?? 'HEAD') }
  const copy = await session.progress('Copying the repository', handOver(session, checkout, handover))
  return { repo: copy, ref: commit, display: inert(checkout.cwd) }
}

/** The branch that agents will see as `origin/…`; what has no such name is only kept. */
async function nameOf(checkout: Checkout, ref: string): Promise<string> {
  const full = await tryGit(checkout, ['rev-parse', '--symbolic-full-name', '--end-of-options', ref])
  const branch = /^refs\/(?:heads|remotes\/[^/]+)\/(.+)$/m.exec(full ?? '')?.[1]
  return branch === undefined || branch === 'HEAD' ? 'refs/lazarus/detached' : `refs/heads/${branch}`
}

/** Submodules come empty into a cell, so what is changed inside them is not looked at. */
async function tellUncommitted(session: Session, checkout: Checkout): Promise<void> {
  const listed = await git(checkout, ['status', '--porcelain', '-z', '--no-renames', '--ignore-submodules=dirty'])
  const changes = listed.split('\0').filter((line) => line !== '').length
  if (changes === 0) return
  session.note(
    `note: ${changes} uncommitted ${changes === 1 ? 'change stays' : 'changes stay'} behind; the mission starts from what is committed`,
  )
}
