import { readFileSync } from 'node:fs'
import type { Check } from '../contract/host.ts'
import { type MountFact, parseMountinfo } from './mountinfo.ts'

interface Switch {
  readonly file: string
  /** Whether this value keeps ordinary users from making user namespaces. */
  readonly forbids: (value: string) => boolean
  readonly remedy: string
}

const SWITCHES: readonly Switch[] = [
  {
    file: 'user/max_user_namespaces',
    forbids: (value) => value === '0',
    remedy: 'sudo sysctl -w user.max_user_namespaces=65536',
  },
  {
    file: 'kernel/unprivileged_userns_clone',
    forbids: (value) => value === '0',
    remedy: 'sudo sysctl -w kernel.unprivileged_userns_clone=1',
  },
  {
    file: 'kernel/apparmor_restrict_unprivileged_userns',
    forbids: (value) => value !== '0',
    remedy:
      'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (and in /etc/sysctl.d to keep it), or give unshare and bwrap AppArmor profiles that allow userns',
  },
]

const readSysctl = (file: string): string | null => {
  try {
    return readFileSync(`/proc/sys/${file}`, 'utf8').trim()
  } catch {
    return null
  }
}

/** What stands against user namespaces with a /proc of their own on this host; empty is best. */
export function userNamespaceChecks(
  read: (file: string) => string | null = readSysctl,
  mounts: readonly MountFact[] = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')),
): Check[] {
  return [...forbidden(read), ...maskedProc(mounts)]
}

const forbidden = (read: (file: string) => string | null): Check[] =>
  SWITCHES.flatMap(({ file, forbids, remedy }) => {
    const value = read(file)
    if (value === null || !forbids(value)) return []
    const name = file.replace('/', '.')
    return [{ name, ok: false, message: `${name} is ${value}`, remedy, promise: null }]
  })

/** Containers cover parts of /proc; the kernel then lets nobody mount another one, and every hull needs its own. */
function maskedProc(mounts: readonly MountFact[]): Check[] {
  // Empty directories such as that of binfmt_misc are made to be mounted on, and do not count.
  const covered = mounts.filter(({ target }) => /^\/proc\/(?!sys\/fs\/)/.test(target))
  if (covered.length === 0) return []
  const message = `${covered.map(({ target }) => target).join(', ')} covered: a hull cannot have a /proc of its own`
  const remedy = 'In a container of Podman: --security-opt unmask=ALL, as images/pit/run does.'
  return [{ name: 'proc.masked', ok: false, message, remedy, promise: null }]
}

/**
 * A uid of this user namespace as the namespace above it has it. In a rootless container uid 0 is the operator who
 * started it; in the machine's own namespace every uid is itself.
 */
export function outerUid(uid: number, map = readFileSync('/proc/self/uid_map', 'utf8')): number {
  const ranges = map
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number, number])
  const range = ranges.find(([inside, , length]) => uid >= inside && uid < inside + length)
  return range ? range[1] + uid - range[0] : uid
}
