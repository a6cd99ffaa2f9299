import { execFile } from 'node:child_process'
import { lstat, readFile, realpath, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { LazarusError } from '../kernel/errors.ts'
import { type GitPlace, git, tryGit } from './git.ts'
import type { Session } from './session.ts'

const exec = promisify(execFile)
const ROOT = 0

/** A checkout that git reads when it is asked from its top. */
export type Checkout = GitPlace

/**
 * The checkout around a directory; null when there is none. Whose checkout it is decides: git obeys its
 * configuration, so beside our own only those of root are read (root can make us run anything anyway).
 */
export async function checkoutAround(session: Session, from: string): Promise<Checkout | null> {
  for (let top = await entered(from); ; top = dirname(top)) {
    if (await holdsGit(top)) return readable(session, top)
    if (top === '/') return null
  }
}

/** A git directory without a worktree: the pit reads it in the airlock, whoever it belongs to. */
export async function isBareRepository(path: string): Promise<boolean> {
  const parts = await Promise.all(['HEAD', 'objects', 'refs'].map((name) => stat(join(path, name)).catch(() => null)))
  return parts.every((part) => part !== null) && !(await holdsGit(path))
}

/** Real, as git wants it in safe.directory. */
async function entered(path: string): Promise<string> {
  try {
    const real = await realpath(path)
    await stat(join(real, '.'))
    return real
  } catch (cause) {
    const closed = (cause as NodeJS.ErrnoException).code === 'EACCES'
    throw new LazarusError(
      'repository_unavailable',
      closed ? `${path} is closed to the user that runs this command` : `There is no directory ${path}`,
      {
        cause,
        remedy: closed
          ? `Move the checkout to where that user can read it (for example below /srv), or name another one with --repo.`
          : 'Name a checkout, a bare repository or a URL.',
      },
    )
  }
}

/** `.git` is a directory, or a file in a linked worktree and in a submodule. What cannot be looked into counts. */
async function holdsGit(directory: string): Promise<boolean> {
  const facts = await stat(join(directory, '.git')).catch(() => null)
  if (facts === null || facts.isFile()) return facts !== null
  return stat(join(directory, '.git/HEAD')).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code === 'EACCES',
  )
}

async function readable(session: Session, top: string): Promise<Checkout> {
  const { environment, uid } = session.settings
  const place = { cwd: top, environment, signal: session.interrupted, safe: false }
  if ((await tryGit(place, ['rev-parse', '--git-dir'])) !== null) return place
  const owners = await ownersOf(top)
  const foreign = owners.find((owner) => owner !== uid && owner !== ROOT)
  if (foreign !== undefined) throw await belongsTo(foreign, top)
  const safe = { ...place, safe: owners.includes(ROOT) }
  await git(safe, ['rev-parse', '--git-dir'])
  return safe
}

/** The owners that git looks at: of the worktree, of a `.git` file, and of the git directory. */
async function ownersOf(top: string): Promise<readonly number[]> {
  const inner = join(top, '.git')
  const text = await readFile(inner, 'utf8').catch(() => '')
  const pointer = /^gitdir: (.+)$/m.exec(text)?.[1]
  const paths = [top, inner, ...(pointer === undefined ? [] : [resolve(top, pointer)])]
  const facts = await Promise.all(paths.map((path) => lstat(path).catch(() => null)))
  return facts.flatMap((fact) => (fact === null ? [] : [fact.uid]))
}

async function belongsTo(uid: number, top: string): Promise<LazarusError> {
  const known = await exec('getent', ['passwd', String(uid)], { env: { PATH: '/usr/bin:/bin' } }).catch(() => null)
  const owner = known?.stdout.split(':')[0] || `uid ${uid}`
  return new LazarusError(
    'forbidden',
    `The checkout ${top} belongs to ${owner}; git would obey its configuration as you`,
    {
      remedy: `Run the command as ${owner}, or let ${owner} make a bare copy that you can read (git clone --bare '${top}' <copy>) and name that with --repo.`,
      details: { path: top, owner },
    },
  )
}
