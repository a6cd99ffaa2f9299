import { mkdir, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { LazarusError } from '../kernel/errors.ts'
import { type GitPlace, git, tryGit } from './git.ts'
import type { Session } from './session.ts'

/** What a mission is opened on. */
export interface Source {
  /** Path or URL for the pit; undefined: the worktree starts empty. */
  readonly repo: string | undefined
  readonly ref: string | undefined
  /** A copy to make before, and to remove after the mission is open. */
  readonly copy: { readonly from: string; readonly to: string; readonly single: boolean } | null
}

const URL_LIKE = /^[a-z][a-z0-9+.-]*:\/\/|^[^/\s]+@[^/\s]+:|^[^/\s]{2,}:(?!\/\/)/i

export const isUrl = (repo: string): boolean => URL_LIKE.test(repo)

const placeOf = (session: Session, cwd: string): GitPlace => ({
  cwd,
  environment: session.settings.environment,
  signal: session.interrupted,
})

/** The top of the checkout around the working directory. */
export const checkoutAround = (session: Session): Promise<string | null> =>
  tryGit(placeOf(session, session.io.cwd), ['rev-parse', '--show-toplevel'])

/**
 * A checkout lies in somebody's home, which the pit never opens: so this process, which is the user's own, hands
 * over a copy. URLs and bare repositories go to the pit as they are.
 */
export async function sourceOf(session: Session, repo: string | undefined, ref: string | undefined): Promise<Source> {
  if (repo === undefined || isUrl(repo) || session.isRemote) return { repo, ref, copy: null }
  const path = resolve(session.io.cwd, repo)
  const place = placeOf(session, path)
  await requireDirectory(path)
  if ((await git(place, ['rev-parse', '--is-bare-repository'])) === 'true') return { repo: path, ref, copy: null }
  const from = await git(place, ['rev-parse', '--show-toplevel'])
  const head = await tryGit(place, ['rev-parse', '--verify', '--quiet', 'HEAD^{commit}'])
  if (head === null && ref === undefined) {
    session.note(`note: ${from} has no commit yet; the mission starts empty`)
    return { repo: undefined, ref: undefined, copy: null }
  }
  await tellUncommitted(session, place)
  const to = join(session.state_dir, 'inbox', `${session.settings.random()}.git`)
  return { repo: to, ref: ref ?? head ?? undefined, copy: { from, to, single: ref === undefined } }
}

async function requireDirectory(path: string): Promise<void> {
  const found = await stat(path).catch(() => null)
  if (found?.isDirectory()) return
  throw new LazarusError('repository_unavailable', `There is no directory ${path}`, {
    remedy: 'Name a checkout, a bare repository or a URL.',
  })
}

async function tellUncommitted(session: Session, place: GitPlace): Promise<void> {
  const changes = (await git(place, ['status', '--porcelain', '-z'])).split('\0').filter((line) => line !== '').length
  if (changes === 0) return
  session.note(
    `note: ${changes} uncommitted ${changes === 1 ? 'change stays' : 'changes stay'} behind; the mission starts from HEAD`,
  )
}

/** Makes the copy for as long as `work` needs it. */
export async function withCopy<T>(session: Session, source: Source, work: () => Promise<T>): Promise<T> {
  if (source.copy === null) return work()
  const { from, to, single } = source.copy
  try {
    await mkdir(join(session.state_dir, 'inbox'), { recursive: true, mode: 0o700 })
    const clone = git(placeOf(session, from), [
      'clone',
      '--bare',
      '--quiet',
      '--no-local',
      '--no-hardlinks',
      ...(single ? ['--single-branch'] : []),
      '--',
      from,
      to,
    ])
    await session.progress('Copying the repository', clone)
    return await work()
  } finally {
    await rm(to, { recursive: true, force: true })
  }
}
