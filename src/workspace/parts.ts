import { join } from 'node:path'
import type { BaseRef } from '../contract/mission.ts'
import { KeyedQueue } from '../kernel/queues.ts'
import { bootId } from '../linux/process.ts'
import type { SeatLayer } from '../ports/workspace.ts'
import type { Airlock } from './airlock.ts'
import { createAirlock } from './airlock.ts'
import { Bases } from './base.ts'
import type { Faults } from './durable.ts'
import { requireDirectories } from './durable.ts'
import { Layers } from './layer.ts'
import { formOf } from './layer-record.ts'
import { Mirrors } from './mirror.ts'
import type { SeatPlaces } from './mounts.ts'
import type { TrashDeps } from './trash.ts'
import type { WorkspaceDeps, WorkspaceLimits } from './workspace-deps.ts'
import { DEFAULT_LIMITS } from './workspace-deps.ts'

/** What a workspace is made of. */
export interface Parts {
  readonly limits: WorkspaceLimits
  readonly faults: Faults
  readonly airlock: Airlock
  readonly mirrors: Mirrors
  readonly bases: Bases
  readonly layers: Layers
  readonly trash: TrashDeps
  /** Per seat: what changes a layer or its name. */
  readonly serial: KeyedQueue
  readonly removals: KeyedQueue
  /** Throws unless every component below our roots is a real directory; asked at the moment of use. */
  readonly requireOwn: (path: string) => void
  readonly places: (layer: SeatLayer) => SeatPlaces
}

export function makeParts(deps: WorkspaceDeps): Parts {
  const limits = { ...DEFAULT_LIMITS, ...deps.limits }
  const faults = deps.faults ?? (() => {})
  const airlock = createAirlock(join(deps.stateDir, 'airlock'), {
    timeout_ms: limits.airlock_timeout_ms,
    long_timeout_ms: limits.airlock_long_timeout_ms,
    scratch_bytes: limits.airlock_scratch_bytes,
    processes: limits.airlock_processes,
    memory_bytes: limits.airlock_memory_bytes,
    at_once: limits.airlocks_at_once,
  })
  const mirrors = new Mirrors({
    directory: join(deps.stateDir, 'repos'),
    airlock,
    refuseHome: deps.refuseHome,
    remote_environment: deps.remoteEnvironment ?? {},
    max_bytes: limits.repository_bytes,
    clock: deps.clock,
    unused_ms: limits.unused_ms,
    onProgress: deps.onProgress ?? ((text) => deps.log.info({ progress: text }, 'mirroring a repository')),
    faults,
  })
  const bases = new Bases({
    directory: join(deps.stateDir, 'bases'),
    mirror: (key) => mirrors.path(key),
    clock: deps.clock,
    grace_ms: limits.base_grace_ms,
    faults,
  })
  const trash = {
    directory: join(deps.stateDir, 'trash'),
    airlock,
    clock: deps.clock,
    retention: deps.retention,
    max_bytes: limits.trash_bytes,
    max_entries: limits.trash_entries,
    faults,
  }
  const layers = new Layers(deps.missionsPath, deps.bootId ?? bootId(), faults)
  return {
    limits,
    faults,
    airlock,
    mirrors,
    bases,
    layers,
    trash,
    serial: new KeyedQueue(),
    removals: new KeyedQueue(),
    requireOwn: (path) =>
      requireDirectories(path.startsWith(`${deps.missionsPath}/`) ? deps.missionsPath : deps.stateDir, path),
    places: (layer) => placesOf({ mirrors, bases, layers }, layer),
  }
}

export const mirrorOf = ({ mirrors }: Pick<Parts, 'mirrors'>, base: BaseRef): string | null =>
  base.repository_key === null ? null : mirrors.path(base.repository_key)

function placesOf(parts: Pick<Parts, 'mirrors' | 'bases' | 'layers'>, layer: SeatLayer): SeatPlaces {
  const { bases, layers } = parts
  const mirror = mirrorOf(parts, layer.base)
  return {
    form: formOf(layer),
    layer: layers.directory(layer.seat),
    base_tree: bases.tree(layer.base),
    objects: mirror === null ? null : join(mirror, 'objects'),
    artifacts: layers.artifacts(layer.seat),
    all_artifacts: join(layers.mission(layer.seat.mission_id), 'artifacts'),
  }
}
