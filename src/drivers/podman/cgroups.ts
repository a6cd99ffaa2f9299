import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { LimitName } from '../../contract/policy.ts'
import type { PodmanInfo } from './client.ts'

const TREE = '/sys/fs/cgroup'

export interface CgroupFacts {
  /** Where containers are put; null leaves it to Podman (systemd does it well, cgroupfs makes no cgroup at all). */
  readonly parent: string | null
  /** Controllers that limits of a container can rely on. */
  readonly controllers: readonly string[]
  /** Whether a container has a cgroup of its own, which can be frozen. */
  readonly own: boolean
}

const read = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return null
  }
}

/** The cgroup v2 path of a process, as in "/user.slice/…". null where there is none. */
export function cgroupOf(pid: number | 'self'): string | null {
  const line = read(`/proc/${pid}/cgroup`)
    ?.split('\n')
    .find((text) => text.startsWith('0::'))
  return line?.slice('0::'.length) ?? null
}

/**
 * Podman's cgroupfs manager, when rootless, gives a container no cgroup unless a parent is named. A sibling of the
 * pit's own cgroup is ours when the directory above is: that is how bin/as-operator and delegation lay it out.
 */
export function cgroupFacts(info: PodmanInfo): CgroupFacts {
  const controllers = info.host.cgroupControllers ?? []
  if (info.host.cgroupManager === 'systemd') return { parent: null, controllers, own: true }
  const own = cgroupOf('self')
  const above = own && own !== '/' ? dirname(own) : null
  if (above === null || above === '/' || !writable(join(TREE, above)))
    return { parent: null, controllers: [], own: false }
  const delegated = read(join(TREE, above, 'cgroup.subtree_control'))?.split(' ') ?? []
  return {
    parent: join(above, 'cells'),
    controllers: controllers.filter((name) => delegated.includes(name)),
    own: true,
  }
}

function writable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK)
    accessSync(join(directory, 'cgroup.procs'), constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** The cgroup of a container's processes, when it is one of its own. */
export function containerCgroup(pid: number, id: string): string | null {
  const path = cgroupOf(pid)
  return path?.includes(id) ? join(TREE, path) : null
}

/** systemd's and crun's limits lie on the scope, one above the cgroup "container" in which the processes are. */
const placesOf = (directory: string): string[] => [directory, dirname(directory)]

const boundsMemory = (place: string): boolean => /^\d/.test(read(join(place, 'memory.max')) ?? '')

/** Of the cgroup of a container and the one above that which bounds its memory; null where none does. */
export const memoryCgroup = (directory: string | null): string | null =>
  directory === null ? null : (placesOf(directory).find(boundsMemory) ?? null)

/**
 * Out of memory, the kernel ends the whole cell, as at levels 1 and 2, and not the greediest process alone: an agent
 * that lost a part of itself is not told from one that hangs. Where the file is not ours to write, it stays so.
 */
export function endWholeWhenOutOfMemory(directory: string | null): void {
  const bounded = memoryCgroup(directory)
  if (bounded === null) return
  try {
    writeFileSync(join(bounded, 'memory.oom.group'), '1')
  } catch {
    // A kernel before 4.19, or a cgroup that belongs to somebody else: told in docs/security-model.md.
  }
}

/** Limits as the kernel has them, read back: what Podman answers may never have been applied. */
export function enforcedLimits(directory: string | null): Partial<Record<LimitName, number>> | null {
  if (directory === null) return null
  const places = placesOf(directory)
  const lowest = (file: string, parse: (text: string) => number) => {
    const values = places
      .map((place) => read(join(place, file)))
      .filter((text) => text !== null && !text.startsWith('max'))
    return values.length === 0 ? undefined : Math.min(...values.map((text) => parse(text!)))
  }
  const cpu = lowest('cpu.max', (text) => Number(text.split(' ')[0]) / Number(text.split(' ')[1]))
  const memory = lowest('memory.max', Number)
  const pids = lowest('pids.max', Number)
  return {
    ...(cpu === undefined ? {} : { cpu }),
    ...(memory === undefined ? {} : { memory }),
    ...(pids === undefined ? {} : { pids }),
  }
}
