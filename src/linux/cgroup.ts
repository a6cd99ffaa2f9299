import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Limits } from '../contract/policy.ts'

/** Limits that a cgroup can keep for a whole seat. */
export type CgroupLimits = Pick<Limits, 'cpu' | 'memory' | 'pids'>

export interface CgroupFacts {
  readonly kind: 'v2' | 'hybrid' | 'v1' | 'none'
  /** Of cpu, memory and pids those that this process may hand to cgroups of its own. */
  readonly delegated: readonly string[]
  /** Below it sandboxes get cgroups; null where no useful controller is delegated. */
  readonly base: string | null
}

const MOUNT = '/sys/fs/cgroup'
const WANTED = ['cpu', 'memory', 'pids']
const PERIOD_US = 100_000
/** Where the pit itself lies, beside "cells": a cgroup that hands controllers on may hold no process. */
const LEAF = 'pit'

const read = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

const kindOf = (mount: string): CgroupFacts['kind'] => {
  if (existsSync(join(mount, 'cgroup.controllers'))) return 'v2'
  if (existsSync(join(mount, 'unified', 'cgroup.controllers'))) return 'hybrid'
  return existsSync(join(mount, 'memory')) || existsSync(join(mount, 'cpu')) ? 'v1' : 'none'
}

/** Our own cgroup, from /proc/self/cgroup: the line of hierarchy 0. */
export const ownCgroup = (text: string): string | null => /^0::(\/.*)$/m.exec(text)?.[1] ?? null

const writable = (directory: string): boolean => {
  try {
    for (const path of [directory, join(directory, 'cgroup.procs'), join(directory, 'cgroup.subtree_control')]) {
      accessSync(path, constants.W_OK)
    }
    return true
  } catch {
    return false
  }
}

/** The leaf is where a pit before us, or one that started us, has moved us: cells stay side by side, above it. */
const candidates = (own: string): string[] => (basename(own) === LEAF ? [dirname(own), own] : [own, dirname(own)])

/** The part of the tree in which this process may make cgroups; null where it may make none. */
export function ownBase(mount = MOUNT): string | null {
  const own = ownCgroup(read('/proc/self/cgroup') ?? '')
  if (own === null || own === '/') return null
  const places = candidates(own).map((path) => join(mount, path))
  return places.find(writable) ?? null
}

/** Looks only; `openCgroups` takes possession. */
export function cgroupFacts(mount = MOUNT): CgroupFacts {
  const kind = kindOf(mount)
  const base = kind === 'v2' ? ownBase(mount) : null
  if (base === null) return { kind, delegated: [], base: null }
  const offered = (read(join(base, 'cgroup.controllers')) ?? '').trim().split(' ')
  const delegated = WANTED.filter((name) => offered.includes(name))
  return { kind, delegated, base: delegated.length > 0 ? base : null }
}

/** The files of one cgroup and what is written there for these limits. Swap would let the memory limit be passed. */
export function limitFiles(limits: CgroupLimits, controllers: readonly string[]): [file: string, value: string][] {
  const files: [string, string][] = []
  if (limits.memory !== undefined && controllers.includes('memory')) {
    files.push(['memory.max', String(limits.memory)], ['memory.swap.max', '0'], ['memory.oom.group', '1'])
  }
  if (limits.pids !== undefined && controllers.includes('pids')) files.push(['pids.max', String(limits.pids)])
  if (limits.cpu !== undefined && controllers.includes('cpu')) {
    files.push(['cpu.max', `${Math.max(1000, Math.round(limits.cpu * PERIOD_US))} ${PERIOD_US}`])
  }
  return files
}

/** "max" is no limit. */
export function parseLimits(files: {
  readonly cpu: string | null
  readonly memory: string | null
  readonly pids: string | null
}): CgroupLimits {
  const number = (text: string | null) => (text === null || !/^\d+/.test(text) ? undefined : Number.parseInt(text, 10))
  const [quota, period] = (files.cpu ?? 'max').trim().split(' ')
  const cpu = number(quota ?? null) === undefined ? undefined : Number(quota) / Number(period)
  const memory = number(files.memory)
  const pids = number(files.pids)
  return { ...(cpu && { cpu }), ...(memory !== undefined && { memory }), ...(pids !== undefined && { pids }) }
}

export const parseOomKills = (memoryEvents: string): number => Number(/^oom_kill (\d+)$/m.exec(memoryEvents)?.[1] ?? 0)

/** One cgroup per sandbox, below the part of the tree that was delegated to the pit. */
export interface Cgroups {
  readonly controllers: readonly string[]
  /** Makes it, or finds it, with these limits; gives its path. */
  make(key: string, limits: CgroupLimits): string
}

/**
 * Controllers can be handed on only by a cgroup without processes of its own, so the pit moves itself, and whatever
 * shares its cgroup, into a leaf first. null where nothing useful is delegated.
 */
export function openCgroups(facts: CgroupFacts = cgroupFacts()): Cgroups | null {
  const { base, delegated } = facts
  if (base === null) return null
  const leaf = join(base, LEAF)
  const cells = join(base, 'cells')
  mkdirSync(leaf, { recursive: true })
  for (const pid of (read(join(base, 'cgroup.procs')) ?? '').split('\n').filter(Boolean)) move(pid, leaf)
  mkdirSync(cells, { recursive: true })
  const hand = delegated.map((name) => `+${name}`).join(' ')
  for (const path of [base, cells]) writeFileSync(join(path, 'cgroup.subtree_control'), hand)
  return {
    controllers: delegated,
    make(key, limits) {
      const path = join(cells, key)
      mkdirSync(path, { recursive: true })
      for (const [file, value] of limitFiles(limits, delegated)) writeLimit(join(path, file), value)
      return path
    },
  }
}

function move(pid: string, cgroup: string): void {
  try {
    writeFileSync(join(cgroup, 'cgroup.procs'), pid)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Kernels without swap accounting have no memory.swap.max: there is no swap to limit. */
function writeLimit(path: string, value: string): void {
  if (path.endsWith('memory.swap.max') && !existsSync(path)) return
  writeFileSync(path, value)
}

export const limitsOf = (cgroup: string): CgroupLimits =>
  parseLimits({
    cpu: read(join(cgroup, 'cpu.max')),
    memory: read(join(cgroup, 'memory.max')),
    pids: read(join(cgroup, 'pids.max')),
  })

export const oomKillsOf = (cgroup: string): number => parseOomKills(read(join(cgroup, 'memory.events')) ?? '')

export const freezeCgroup = (cgroup: string, frozen: boolean): void =>
  writeFileSync(join(cgroup, 'cgroup.freeze'), frozen ? '1' : '0')

/** The kernel freezes in its own time. */
export const isFrozen = (cgroup: string): boolean => /^frozen 1$/m.test(read(join(cgroup, 'cgroup.events')) ?? '')

/** Ends whatever is left in it (kernel 5.14 or newer; else there is nothing that the pid namespace did not end). */
export function killCgroup(cgroup: string): void {
  if (existsSync(join(cgroup, 'cgroup.kill'))) writeFileSync(join(cgroup, 'cgroup.kill'), '1')
}

/** false while processes are still in it; true when it is gone. */
export function removeCgroup(cgroup: string): boolean {
  try {
    rmdirSync(cgroup)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return true
    if (code === 'EBUSY') return false
    throw error
  }
}
