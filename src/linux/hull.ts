/**
 * The hull: namespaces and mounts around a command, made with util-linux alone (`unshare`, `mount`, `pivot_root`).
 * Levels 1 and 2 start their sandboxes in one; the airlock is one. Everything is data until `startHull`.
 */
export type HullMount =
  | { readonly kind: 'bind'; readonly source: string; readonly target: string; readonly read_only: boolean; readonly recursive?: boolean }
  | { readonly kind: 'overlay'; readonly target: string; readonly lowers: readonly string[]; readonly upper?: string; readonly work?: string }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly options: string }
  | { readonly kind: 'proc'; readonly target: string }

export interface HullSpec {
  /** An existing private directory that belongs to this hull alone: root skeleton, mount table, records. */
  readonly run_dir: string
  /** In order; targets are absolute inside the new root. */
  readonly mounts: readonly HullMount[]
  /** Symlinks of the root skeleton, for example { '/bin': 'usr/bin' }. */
  readonly symlinks: Readonly<Record<string, string>>
  readonly network: 'own' | 'host'
  readonly rlimits: Readonly<Record<string, number>>
  /** What runs inside, as uid 0 of the hull's user namespace. */
  readonly command: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}
