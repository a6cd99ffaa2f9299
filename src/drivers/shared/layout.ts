import type { Policy } from '../../contract/policy.ts'
import { contains, isPlain } from '../../domain/paths.ts'
import { LazarusError } from '../../kernel/errors.ts'
import type { HullLayout } from '../../linux/hull.ts'
import type { HullMount } from '../../linux/mount-table.ts'
import type { SandboxMount } from '../../ports/cell-driver.ts'

/** What the host looks like where a layout depends on it; read by host-view.ts at the moment of use. */
export interface HostView {
  /** Entries of `/`. */
  readonly directories: readonly string[]
  readonly symlinks: Readonly<Record<string, string>>
  /** Paths to hide that exist, resolved: policy masks, homes, the pit's own. */
  readonly hidden: readonly { readonly path: string; readonly directory: boolean }[]
  /** Paths to show in a minimal root that exist: a symlink into another one stays a symlink. */
  readonly shown: readonly { readonly path: string; readonly source: string; readonly symlink: string | null }[]
  /** Fixed files (passwd, group, hosts, …) by their path inside. */
  readonly files: Readonly<Record<string, string>>
  /** /etc/resolv.conf resolved, where the network is the host's. */
  readonly resolv_conf: string | null
  readonly devices: readonly string[]
}

/** Made by the hull itself at every level. */
const OWN = ['/proc', '/dev', '/tmp', '/run', '/home', '/workspace', '/artifacts', '/mission', '/.old', '/lost+found']
const ALWAYS = ['/run', '/tmp', '/home/agent', '/var/tmp']

const tmpfs = (target: string, bytes: number, mode: string): HullMount => ({
  kind: 'tmpfs',
  target,
  options: `size=${bytes},nr_inodes=${Math.max(1024, Math.ceil(bytes / 4096))},mode=${mode}`,
})

const mask = (hidden: HostView['hidden'][number]): HullMount =>
  hidden.directory
    ? { kind: 'tmpfs', target: hidden.path, options: 'ro,noexec,size=4k,nr_inodes=2,mode=755' }
    : fileOver(hidden.path, '/dev/null')

const show = (source: string, target: string, except: readonly string[] = []): HullMount => ({
  kind: 'bind',
  source,
  target,
  read_only: true,
  recursive: true,
  except,
})

/** The mounts and the root skeleton of a sandbox of level 1 (root: host) or 2 (root: minimal). */
export function layout(policy: Policy, mounts: readonly SandboxMount[], host: HostView): HullLayout {
  requirePlaceable(mounts)
  const root = policy.root === 'host' ? hostRoot(host) : minimalRoot(host)
  const given = mounts.map(ofSeat)
  const missing = (path: string) => !mounts.some((mount) => mount.target === path)
  const bytes = policy.limits.tmp ?? 64 * 1024 ** 2
  return {
    mounts: [
      ...root.mounts,
      ...(host.resolv_conf === null ? [] : [resolvConf(host.resolv_conf, policy)]),
      ...devices(host, bytes),
      { kind: 'proc', target: '/proc' },
      ...(missing('/tmp') ? [tmpfs('/tmp', bytes, '1777')] : []),
      ...given,
    ],
    symlinks: { ...root.symlinks, ...DEV_SYMLINKS },
    directories: [...root.directories, ...ALWAYS.filter((path) => policy.root !== 'host' || path !== '/var/tmp')],
  }
}

type Root = Required<HullLayout>

/** The host's own directories, read-only; what is to be hidden is left out, or covered where it lies deeper. */
function hostRoot(host: HostView): Root {
  const hidden = host.hidden.map(({ path }) => path)
  const visible = host.directories.filter((path) => !OWN.includes(path))
  const shown = visible.filter((path) => !hidden.includes(path))
  return {
    mounts: [...shown.map((path) => show(path, path, hidden)), ...masks(host, shown), ...fixedFiles(host)],
    symlinks: Object.fromEntries(Object.entries(host.symlinks).filter(([path]) => !OWN.includes(path))),
    directories: visible.filter((path) => hidden.includes(path)),
  }
}

/** Only the paths that the policy shows; a hidden one among them or below them is covered all the same. */
function minimalRoot(host: HostView): Root {
  const hidden = host.hidden.map(({ path }) => path)
  const kept = host.shown.filter((entry) => entry.symlink === null)
  const links = host.shown.filter((entry) => entry.symlink !== null)
  const paths = kept.map(({ path }) => path)
  return {
    mounts: [...kept.map(({ path, source }) => show(source, path, hidden)), ...masks(host, paths), ...fixedFiles(host)],
    symlinks: Object.fromEntries(links.map(({ path, symlink }) => [path, symlink!])),
    directories: [],
  }
}

const masks = (host: HostView, shown: readonly string[]): HullMount[] =>
  host.hidden
    .filter(({ path }) => shown.some((top) => contains(top, path)))
    .filter(({ path }) => !host.hidden.some((other) => other.path !== path && contains(other.path, path)))
    .map(mask)

const fixedFiles = (host: HostView): HullMount[] =>
  Object.entries(host.files).map(([path, source]) => fileOver(path, source))

const fileOver = (target: string, source: string): HullMount => ({ kind: 'bind', source, target, read_only: true })

/** With the host's root, /etc/resolv.conf is there and often leads into /run, which is hidden: the file is put back there. */
const resolvConf = (source: string, policy: Policy): HullMount =>
  fileOver(policy.root === 'host' ? source : '/etc/resolv.conf', source)

const DEV_SYMLINKS = {
  '/dev/fd': '/proc/self/fd',
  '/dev/stdin': '/proc/self/fd/0',
  '/dev/stdout': '/proc/self/fd/1',
  '/dev/stderr': '/proc/self/fd/2',
  '/dev/ptmx': 'pts/ptmx',
}

function devices(host: HostView, bytes: number): HullMount[] {
  const nodes = host.devices.map((target): HullMount => ({ kind: 'device', target }))
  return [...nodes, { kind: 'devpts', target: '/dev/pts' }, tmpfs('/dev/shm', bytes, '1777')]
}

function ofSeat(mount: SandboxMount): HullMount {
  switch (mount.kind) {
    case 'overlay':
      return { kind: 'overlay', target: mount.target, lowers: [mount.lower], upper: mount.upper, work: mount.work }
    case 'bind':
      return { ...mount, recursive: true }
    case 'tmpfs':
      return tmpfs(mount.target, mount.bytes, mount.target === '/tmp' ? '1777' : '755')
  }
}

const RESERVED = ['/proc', '/sys', '/dev', '/usr', '/etc', '/bin', '/sbin', '/lib', '/lib64', '/.old']

/** No mount target below a directory that the agent can write: it could plant a symlink there (rule 3). */
function requirePlaceable(mounts: readonly SandboxMount[]): void {
  for (const [index, mount] of mounts.entries()) {
    const { target } = mount
    if (
      !isPlain(target) ||
      target === '/' ||
      RESERVED.some((path) => contains(path, target) || contains(target, path))
    ) {
      throw refuse(target, 'is no place for a mount of a seat')
    }
    const other = mounts.find((m, at) => at !== index && contains(m.target, target))
    if (other?.target === target) throw refuse(target, 'is named twice')
    if (other && !(other.kind === 'bind' && other.read_only))
      throw refuse(target, `lies below ${other.target}, which the agent can write`)
  }
}

const refuse = (target: string, why: string): LazarusError =>
  new LazarusError('invalid_request', `The mount target ${JSON.stringify(target)} ${why}.`, {
    remedy: 'Choose another target, outside the directories that the seat can write.',
  })
