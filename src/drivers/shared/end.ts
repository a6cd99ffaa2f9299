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
  readonly execs?: RunningExecs
  readonly faults?: (step: string) => void
}

/**
 * Ends every process of a sandbox by ending the init of its pid namespace, waits until all are gone, and removes the
 * records. Every step may be repeated.
 */
export async function endSandbox(
  shop: Workshop,
  record: SandboxRecord,
  { execs, faults = () => {} }: Ending = {},
): Promise<Released> {
  faults('kill')
  const released = alive(record.hull) ? count(record.hull!.pid) : NOTHING
  if (execs) execs.ended = true
  if (alive(record.hull)) sendSignal(record.hull!.pid, 'SIGKILL')
  for (const leader of execs?.leaders ?? []) sendSignal(-leader, 'SIGKILL')
  await ended(shop, record)
  faults('clear')
  if (record.cgroup !== null) await clearCgroup({ ...record, cgroup: record.cgroup })
  shop.records.remove(record)
  return released
}

const alive = (process: ProcessId | null): boolean => isAlive(process?.pid ?? null, process?.start_time ?? null)

/** Seen through the hull's own /proc, which nobody inside can change. */
function count(init: number): Released {
  const mounts = readFileSync(`/proc/${init}/mountinfo`, 'utf8').trim().split('\n').length
  return { processes: allPids(`/proc/${init}/root/proc`).length, containers: 0, mounts }
}

/** The shim ends by itself once the hull has; when its logger hangs, its whole group is ended. */
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
