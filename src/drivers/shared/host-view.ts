import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Policy } from '../../contract/policy.ts'
import { contains } from '../../domain/paths.ts'
import { LazarusError } from '../../kernel/errors.ts'
import type { HostView } from './layout.ts'

const DEVICES = ['/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom', '/dev/tty']

/** The same at every level: the agent has uid 1000 and a name, which git asks for. */
const FILES: Readonly<Record<string, string>> = {
  '/etc/passwd':
    'root:x:0:0:root:/root:/usr/sbin/nologin\nagent:x:1000:1000:agent:/home/agent:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n',
  '/etc/group': 'root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n',
  '/etc/hosts': '127.0.0.1 localhost\n::1 localhost ip6-localhost\n',
  '/etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
}

/** Writes the fixed files once per driver; they are bound into every sandbox. */
export function writeFixedFiles(root: string): Readonly<Record<string, string>> {
  mkdirSync(join(root, 'etc'), { recursive: true, mode: 0o755 })
  const paths: Record<string, string> = {}
  for (const [inside, text] of Object.entries(FILES)) {
    paths[inside] = join(root, inside)
    writeFileSync(paths[inside], text, { mode: 0o644 })
  }
  return paths
}

/** Looks at the host: some dozen system calls. `files` are those that writeFixedFiles gave. */
export function viewHost(
  policy: Policy,
  hidden_paths: readonly string[],
  files: Readonly<Record<string, string>>,
): HostView {
  const host = policy.root === 'host'
  return {
    ...(host ? entriesOfRoot() : { directories: [], symlinks: {} }),
    hidden: resolveHidden(host ? [...policy.masks, '/sys/fs/cgroup', ...hidden_paths] : hidden_paths, policy),
    shown: host ? [] : resolveShown(policy.read_only_paths),
    files: host ? existing(files) : files,
    resolv_conf: policy.network === 'host' ? resolve('/etc/resolv.conf') : null,
    devices: DEVICES.filter((path) => existsSync(path)),
  }
}

/** Over the host's /etc only what is there can be covered. hosts and nsswitch.conf of the host may stay. */
const existing = (files: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(files).filter(([path]) => ['/etc/passwd', '/etc/group'].includes(path) && existsSync(path)),
  )

function entriesOfRoot(): Pick<HostView, 'directories' | 'symlinks'> {
  const entries = readdirSync('/', { withFileTypes: true })
  const symlinks = entries
    .filter((entry) => entry.isSymbolicLink())
    .map(({ name }) => [`/${name}`, readlinkSync(`/${name}`)])
  return {
    directories: entries.filter((entry) => entry.isDirectory()).map(({ name }) => `/${name}`),
    symlinks: Object.fromEntries(symlinks),
  }
}

/** null: it does not exist, or this user cannot reach it, and so nobody inside can. */
function resolve(path: string): string | null {
  try {
    return realpathSync(path)
  } catch {
    return null
  }
}

function resolveHidden(paths: readonly string[], policy: Policy): HostView['hidden'] {
  const found = new Set(paths.map(resolve).filter((path) => path !== null))
  if (found.has('/') && policy.root === 'host') {
    throw new LazarusError(
      'home_mount_refused',
      'The root directory itself is to be hidden: level 1 shows the host and cannot do that.',
      {
        remedy: 'Correct the homes in the configuration, or use level 2.',
      },
    )
  }
  return [...found].map((path) => ({ path, directory: statSync(path).isDirectory() }))
}

function resolveShown(paths: readonly string[]): HostView['shown'] {
  const found = paths.flatMap((path) => {
    const source = resolve(path)
    return source === null
      ? []
      : [{ path, source, symlink: lstatSync(path).isSymbolicLink() ? readlinkSync(path) : null }]
  })
  const real = found.filter((entry) => entry.symlink === null)
  // A symlink that would lead nowhere inside is replaced by what it leads to.
  return found.map((entry) =>
    real.some(({ path }) => contains(path, entry.source)) ? entry : { ...entry, symlink: null },
  )
}
