import { LazarusError } from '../kernel/errors.ts'
import { type MountFact, mountOf, mountsBelow } from './mountinfo.ts'

/** One line of the table, as data. */
export type HullMount =
  | {
      readonly kind: 'bind'
      readonly source: string
      readonly target: string
      readonly read_only: boolean
      /** With what is mounted below the source, read-only alike. */
      readonly recursive?: boolean
      /** Paths below the source that a later mount covers: their submounts need no care. */
      readonly except?: readonly string[]
    }
  | {
      readonly kind: 'overlay'
      readonly target: string
      readonly lowers: readonly string[]
      readonly upper?: string
      readonly work?: string
    }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly options: string }
  | { readonly kind: 'proc'; readonly target: string }
  | { readonly kind: 'devpts'; readonly target: string }
  /** A device node of the host at the same place: /dev/null, /dev/urandom. */
  | { readonly kind: 'device'; readonly target: string }

/** Flags that are locked in a user namespace: a remount that drops one is refused. */
const LOCKED = ['nosuid', 'nodev', 'noexec'] as const

const escapeField = (field: string): string =>
  field.replace(/[\s\\#]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`)

const line = (source: string, target: string, type: string, options: readonly string[]): string =>
  `${escapeField(source)} ${escapeField(target)} ${type} ${options.join(',')} 0 0`

/** mount(8) splits options at commas, overlayfs layers at colons; neither is worth an escape that few readers know. */
function layerPath(path: string): string {
  if (!/[,:\\"\s]/.test(path)) return path
  throw new LazarusError('invalid_request', `An overlay cannot lie at ${JSON.stringify(path)}.`, {
    remedy: 'Choose a missions path and state directory without spaces, commas, colons, quotes and backslashes.',
  })
}

const inherited = (source: string, host: readonly MountFact[], wanted: readonly string[]): string[] => {
  const flags = mountOf(source, host)?.flags ?? []
  const kept = [...LOCKED, 'ro'].filter((flag) => flags.includes(flag) && !wanted.includes(flag))
  return [...wanted, ...kept]
}

type Bind = Extract<HullMount, { kind: 'bind' }>

/**
 * A recursive bind brings the submounts along, but read-only and nosuid hold for its top mount alone (a recursive
 * flag needs util-linux 2.39). So every submount is bound once more over its own copy, with its own flags.
 */
function bindLines(mount: Bind, root: string, host: readonly MountFact[]): string[] {
  const wanted = [...(mount.read_only ? ['ro'] : []), 'nosuid', 'nodev']
  const target = root + mount.target
  const top = line(mount.source, target, 'none', [
    mount.recursive ? 'rbind' : 'bind',
    ...inherited(mount.source, host, wanted),
  ])
  if (!mount.recursive) return [top]
  const covered = mount.except ?? []
  const below = mountsBelow(mount.source, host)
    .filter((fact) => !covered.some((path) => fact.target === path || fact.target.startsWith(`${path}/`)))
    .map((fact) =>
      line(fact.target, target + fact.target.slice(mount.source === '/' ? 0 : mount.source.length), 'none', [
        'rbind',
        ...inherited(fact.target, host, wanted),
      ]),
    )
  return [top, ...below]
}

/**
 * Without an index, whatever the host has as default: with one the kernel refuses a layer that another mount has not yet
 * given up, and a successor is mounted while the mounts of the dead one are still being taken down.
 */
const ALWAYS = ['index=off', 'userxattr']

function overlayLine(mount: Extract<HullMount, { kind: 'overlay' }>, root: string): string {
  const lower = `lowerdir=${mount.lowers.map(layerPath).join(':')}`
  const upper = mount.upper === undefined ? [] : [`upperdir=${layerPath(mount.upper)}`]
  const work = mount.work === undefined ? [] : [`workdir=${layerPath(mount.work)}`]
  return line('overlay', root + mount.target, 'overlay', ['nosuid', 'nodev', lower, ...upper, ...work, ...ALWAYS])
}

function linesOf(mount: HullMount, root: string, host: readonly MountFact[]): string[] {
  const target = root + mount.target
  switch (mount.kind) {
    case 'bind':
      return bindLines(mount, root, host)
    case 'overlay':
      return [overlayLine(mount, root)]
    case 'tmpfs':
      return [line('tmpfs', target, 'tmpfs', ['nosuid', 'nodev', mount.options])]
    case 'proc':
      return [line('proc', target, 'proc', ['nosuid', 'nodev', 'noexec'])]
    case 'devpts':
      return [line('devpts', target, 'devpts', ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'])]
    case 'device':
      return [line(mount.target, target, 'none', ['bind'])]
  }
}

/**
 * The whole mount table of a hull as one fstab. The root comes first and is read-only from the start: mount points
 * are made in the skeleton before.
 */
export function mountTable(mounts: readonly HullMount[], root: string, host: readonly MountFact[]): string {
  const rootLine = line(root, root, 'none', ['bind', ...inherited(root, host, ['ro', 'nosuid', 'nodev'])])
  return `${[rootLine, ...mounts.flatMap((mount) => linesOf(mount, root, host))].join('\n')}\n`
}
