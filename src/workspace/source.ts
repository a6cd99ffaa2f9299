import { createHash } from 'node:crypto'
import { normalise } from '../domain/paths.ts'
import { LazarusError } from '../kernel/errors.ts'

export interface LocalSource {
  readonly kind: 'local'
  readonly path: string
  readonly shown: string
}

export interface RemoteSource {
  readonly kind: 'remote'
  /** For git; without a password. */
  readonly url: string
  readonly shown: string
  readonly protocol: 'http' | 'https' | 'git' | 'ssh'
  /** Value of the Authorization header; in no log, event, file or command line. */
  readonly authorization: string | null
  readonly key: string
}

export type Source = LocalSource | RemoteSource

const refuse = (message: string): never => {
  throw new LazarusError('repository_unavailable', message, {
    remedy: 'Name an absolute path, or a file, git, http, https or ssh URL.',
  })
}

/** Reads what an operator calls a repository. Anything that git could take for an option or a helper is refused. */
export function parseSource(repo: string): Source {
  if (repo.startsWith('/')) return local(repo)
  const helper = /^([A-Za-z0-9_+.-]+)::/.exec(repo)
  if (helper) refuse(`The transport "${helper[1]}" is not allowed`)
  if (/^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(repo)) return byUrl(repo)
  const scp = /^(?:([^@/:\s-][^@/:\s]*)@)?([^-/:@\s[][^/:@\s]*):(?!\/\/)([^\s-].*)$/.exec(repo)
  if (scp) return ssh(repo, scp[1] ?? null, scp[2] ?? '', `/${scp[3]}`)
  return refuse(`"${withoutCredentials(repo)}" is neither an absolute path nor a URL`)
}

function local(path: string): LocalSource {
  const plain = normalise(path)
  return { kind: 'local', path: plain, shown: plain }
}

function byUrl(repo: string): Source {
  const url = URL.parse(repo) ?? refuse(`"${withoutCredentials(repo)}" is not a URL that can be read`)
  if (url.search !== '' || url.hash !== '') refuse('A repository URL has no query and no fragment')
  switch (url.protocol) {
    case 'file:':
      if (url.host !== '' && url.host !== 'localhost') refuse(`file:// names another host, "${url.host}"`)
      return local(decoded(url.pathname))
    case 'http:':
    case 'https:':
    case 'git:':
      return overNetwork(url, url.protocol.slice(0, -1) as 'http' | 'https' | 'git')
    case 'ssh:':
      if (url.hostname.startsWith('-') || url.hostname === '')
        refuse('The host of the URL is missing or starts with "-"')
      return ssh(sshUrl(url), url.username || null, url.host, url.pathname)
    default:
      return refuse(`The transport "${url.protocol.slice(0, -1)}" is not allowed`)
  }
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return refuse(`"${path}" is not percent-encoded UTF-8`)
  }
}

function overNetwork(url: URL, protocol: 'http' | 'https' | 'git'): RemoteSource {
  if (url.hostname === '' || url.hostname.startsWith('-')) refuse('The host of the URL is missing or starts with "-"')
  const secret = url.username !== '' || url.password !== ''
  const pair = `${decoded(url.username)}:${decoded(url.password)}`
  const clean = `${protocol}://${url.host}${url.pathname}`
  return {
    kind: 'remote',
    url: clean,
    shown: clean,
    protocol,
    authorization: secret && protocol !== 'git' ? `Basic ${Buffer.from(pair).toString('base64')}` : null,
    key: repositoryKey(clean),
  }
}

const sshUrl = (url: URL): string => `ssh://${url.username === '' ? '' : `${url.username}@`}${url.host}${url.pathname}`

/** The user of an ssh address is part of the address (`git@…`), not a credential. */
function ssh(address: string, user: string | null, host: string, path: string): RemoteSource {
  const key = repositoryKey(`ssh://${user === null ? '' : `${user}@`}${host}${path}`)
  return { kind: 'remote', url: address, shown: address, protocol: 'ssh', authorization: null, key }
}

/** Names the mirror: the first 16 hex digits of the sha256 of the address, without trailing slashes and `.git`. */
export function repositoryKey(address: string): string {
  const same = address
    .replace(/\/+$/, '')
    .replace(/\.git$/, '')
    .replace(/\/+$/, '')
  return createHash('sha256').update(same).digest('hex').slice(0, 16)
}

/** For messages: any `user:password@` of a thing that might be a URL is left out. */
export const withoutCredentials = (text: string): string => text.replace(/\/\/[^/@\s]*@/g, '//')
