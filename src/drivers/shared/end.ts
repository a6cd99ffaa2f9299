import { readFileSync } from 'node:fs'
import type { Released } from '../../contract/mission.ts'
import { LazarusError } from '../../kernel/errors.ts'
import { killCgroup, removeCgroup } from '../../linux/cgroup.ts'
import { allPids, commandLine, isAlive, sendSignal } from '../../linux/process.ts'
import type { RunningExecs } from './exec.ts'
import { keyOf, type ProcessId, type SandboxRecord } from './records.ts'
import type { Workshop } from './workshop.ts'

const NOTHING: Released = { processes: 0, containers: 0, mounts: 0 }
/** Ends take some milliseconds. */
const ODD_MS = 250
const PATIENCE_MS = 10_000

export const DESTROY_STEPS = ['kill', 'clear'] as const

export interface Ending {
  readonly execs: RunningExecs
  readonly faults?: (step: string) => void
}

/** A sandbox in which nothing can run any more, and what of it the kernel and we still have to clear away. */
export interface Ended {
  readonly released: Released
  /** Resolves when nothing of it is left; null when nothing is. */
  readonly rest: Promise<void> | null
}

/**
 * Ends every process of a sandbox by ending the init of its pid namespace, waits until none can run any more, and
 * removes the records. Every step may be repeated.
 */
export async function endSandbox(
  shop: Workshop,
  record: SandboxRecord,
  { execs, faults = () => {} }: Ending,
): Promise<Ended> {
  faults('kill')
  const left = isAloneAtEnd(shop, record)
  const released = left ? NOTHING : count(record.hull)
  execs.ended = true
  if (alive(record.hull)) sendSignal(record.hull!.pid, 'SIGKILL')
  for (const leader of execs.leaders) sendSignal(-leader, 'SIGKILL')
  faults('clear')
  if (left && execs.leaders.size === 0) return { released, rest: clear(shop, record) }
  await clear(shop, record)
  return { released, rest: null }
}

/** Waits for the end of the last process, then removes what it kept from being removed. */
async function clear(shop: Workshop, record: SandboxRecord): Promise<void> {
  await ended(shop, record)
  if (record.cgroup !== null) await clearCgroup({ ...record, cgroup: record.cgroup })
  shop.records.remove(record)
}

const alive = (process: ProcessId | null): boolean => isAlive(process?.pid ?? null, process?.start_time ?? null)

/** The agent has ended, and the init has ended and reaped every other process before it let that be told. */
const isAloneAtEnd = (shop: Workshop, record: SandboxRecord): boolean =>
  alive(record.hull) && shop.records.readExit(record)?.alone === true

/** Seen through the hull's own /proc, which nobody inside can change. */
function count(init: ProcessId | null): Released {
  if (!alive(init)) return NOTHING
  try {
    const mounts = readFileSync(`/proc/${init!.pid}/mountinfo`, 'utf8').trim().split('\n').length
    return { processes: allPids(`/proc/${init!.pid}/root/proc`).length, containers: 0, mounts }
  } catch {
    return NOTHING // It ended while it was looked at.
  }
}

/** The shim ends by itself once the hull has; when it hangs, its whole group is ended. */
async function ended(shop: Workshop, record: SandboxRecord): Promise<void> {
  const { hull, shim } = record
  const began = shop.deps.clock.monotonic()
  // Without a known hull the group is all there is to wait for; its number is taken while a member lives.
  const group = hull === null && alive(shim)
  if (group) sendSignal(-shim!.pid, 'SIGKILL')
  for (
    let wait = 1;
    alive(hull) || alive(shim) || (group && sendSignal(-shim!.pid, 0));
    wait = Math.min(wait * 2, 50)
  ) {
    const waited = shop.deps.clock.monotonic() - began
    if (waited > ODD_MS && alive(hull)) killJoined(hull!)
    if (waited > PATIENCE_MS / 2 && alive(shim)) sendSignal(-shim!.pid, 'SIGKILL')
    if (waited > PATIENCE_MS) throw stuck(record)
    await new Promise((go) => setTimeout(go, wait))
  }
}

/**
 * The init cannot end before every process of its namespace is reaped, and an nsenter that is stopped reaps none: one
 * that an earlier pit started, say. Its command line names the init, whose pid is its own until it has ended.
 */
function killJoined(hull: ProcessId): void {
  const begin = `nsenter\0--target\0${hull.pid}\0`
  for (const pid of allPids()) if (commandLine(pid).startsWith(begin)) sendSignal(pid, 'SIGKILL')
}

const stuck = (record: SandboxRecord): LazarusError =>
  new LazarusError(
    'runtime_failed',
    `Processes of sandbox ${keyOf(record.name)} did not end within ${PATIENCE_MS} ms.`,
    {
      remedy: 'Something holds them in the kernel (a hung file system?); look with ps, then destroy again.',
      details: { hull: record.hull?.pid, shim: record.shim?.pid },
    },
  )

async function clearCgroup(record: SandboxRecord & { cgroup: string }): Promise<void> {
  for (let tries = 0; !removeCgroup(record.cgroup); tries += 1) {
    if (tries > PATIENCE_MS / 50) throw stuck(record)
    killCgroup(record.cgroup)
    await new Promise((go) => setTimeout(go, Math.min(50, tries)))
  }
}
