import { join } from 'node:path'
import type { HullMount } from '../linux/mount-table.ts'
import type { SandboxMount } from '../ports/cell-driver.ts'
import { OBJECTS_IN_CELL } from './base-checkout.ts'
import type { WorktreeForm } from './layer-record.ts'

/** Host directories of one seat. */
export interface SeatPlaces {
  readonly form: WorktreeForm
  readonly layer: string
  readonly base_tree: string
  /** The shared objects of the origin; null for an empty mission. */
  readonly objects: string | null
  readonly artifacts: string
  readonly all_artifacts: string
}

const bind = (source: string, target: string, read_only: boolean) =>
  ({ kind: 'bind', source, target, read_only }) as const

/** In order: the worktree, the origin's objects, home, own artifacts, the brief, everybody's artifacts. */
export function sandboxMounts(places: SeatPlaces): readonly SandboxMount[] {
  return [
    ...worktreeMounts(places),
    bind(join(places.layer, 'home'), '/home/agent', false),
    bind(places.artifacts, '/artifacts', false),
    bind(join(places.layer, 'brief'), '/mission', true),
    bind(places.all_artifacts, '/mission/artifacts', true),
  ]
}

function worktreeMounts({ form, layer, base_tree, objects }: SeatPlaces): readonly SandboxMount[] {
  const shared = objects === null ? [] : [bind(objects, OBJECTS_IN_CELL, true)]
  switch (form) {
    case 'none':
      return []
    case 'base':
      return [bind(base_tree, '/workspace', true), ...shared]
    case 'clone':
      return [bind(join(layer, 'tree'), '/workspace', false), ...shared]
    case 'overlay':
      return [
        {
          kind: 'overlay',
          target: '/workspace',
          lower: base_tree,
          upper: join(layer, 'upper'),
          work: join(layer, 'work'),
        },
        ...shared,
      ]
  }
}

/** Every host directory that the mounts of a seat name. */
export const mountSources = (mounts: readonly SandboxMount[]): readonly string[] =>
  mounts.flatMap((mount) => {
    if (mount.kind === 'overlay') return [mount.lower, mount.upper, mount.work]
    return mount.kind === 'bind' ? [mount.source] : []
  })

export interface AirlockView {
  readonly mounts: readonly HullMount[]
  readonly cover_fifos: readonly [string, string]
}

/**
 * The worktree as the airlock sees it, read-only: the layer is only ever a lower one here, so a live seat may go on
 * writing. FIFOs can only lie in what the seat wrote: the upper directory, or the copy.
 */
export function airlockView({ form, layer, base_tree, objects }: SeatPlaces): AirlockView | null {
  const shared: readonly HullMount[] = objects === null ? [] : [bind(objects, OBJECTS_IN_CELL, true)]
  if (form === 'clone')
    return {
      mounts: [bind(join(layer, 'tree'), '/workspace', true), ...shared],
      cover_fifos: ['/workspace', '/workspace'],
    }
  if (form !== 'overlay') return null
  const upper = join(layer, 'upper')
  const mounts: readonly HullMount[] = [
    { kind: 'overlay', target: '/workspace', lowers: [upper, base_tree] },
    bind(upper, '/upper', true),
    ...shared,
  ]
  return { mounts, cover_fifos: ['/upper', '/workspace'] }
}

/** The worktree as the airlock may write it: for a layer that no cell has mounted. */
export function writableView(places: SeatPlaces): AirlockView | null {
  const { form, layer, base_tree } = places
  const seen = airlockView(places)
  if (seen === null) return null
  const worktree: HullMount =
    form === 'clone'
      ? bind(join(layer, 'tree'), '/workspace', false)
      : {
          kind: 'overlay',
          target: '/workspace',
          lowers: [base_tree],
          upper: join(layer, 'upper'),
          work: join(layer, 'work'),
        }
  return { ...seen, mounts: [worktree, ...seen.mounts.slice(1)] }
}

/** What of a seat's directory its agent wrote. */
export const writtenBy = (form: WorktreeForm): readonly string[] =>
  form === 'overlay' ? ['upper', 'home'] : form === 'clone' ? ['tree', 'home'] : ['home']
