import { readFileSync } from 'node:fs'
import type { Released } from '../../contract/mission.ts'
import { LazarusError } from '../../kernel/errors.ts'
import { endCell, endExecMonitors, mentioning, processesOf } from './cell-processes.ts'
import type { PodmanClient } from './client.ts'
import type { Step } from './deps.ts'
import { isGone } from './errors.ts'
import { runningOf } from './sandbox.ts'

const END_TIMEOUT_MS = 60_000

/** What Podman knows of a container, found under our own name. */
export interface Found {
  readonly Id: string
  readonly State: { readonly Pid: number }
}

/**
 * Kills the container's init, which takes every process of its pid namespace along (setsid, double forks, ignored
 * signals, stopped or frozen ones). From here on nothing of it runs or writes its layer. Counts what there was.
 */
export async function endProcesses(found: Found | null, step: Step): Promise<Omit<Released, 'containers'>> {
  const running = found && runningOf(found.Id, found.State.Pid)
  const released = {
    processes: running ? processesOf(running.pid).length : 0,
    mounts: running ? mountsOf(running.pid) : 0,
  }
  step('destroy.kill')
  if (running && released.processes > 0) await endCell(running)
  return released
}

/**
 * Removes the container and waits until nothing of it is left on the host. Only what was found under our own name is
 * removed: an id that somebody remembers may be of another pit's container. Returns how many there were.
 */
export async function removeContainer(
  client: PodmanClient,
  id: string | null,
  found: Found | null,
  step: Step,
): Promise<number> {
  step('destroy.remove')
  const containers = found ? await remove(client, found.Id) : 0
  step('destroy.rest')
  if (id !== null && (found || !(await client.exists(id)))) await endMonitors(id)
  return containers
}

/**
 * Podman tidies a container that ended by itself, at the same time as we remove it: that may make one answer an error
 * or succeed without effect. So it is removed until Podman knows it no more. Returns how many were there.
 */
async function remove(client: PodmanClient, id: string): Promise<number> {
  const deadline = performance.now() + END_TIMEOUT_MS
  for (let found = 0; ; found = 1) {
    const failure = await client.remove(id).then(
      () => null,
      (error: unknown) => error,
    )
    if (isGone(failure)) return found
    if (failure === null && !(await client.exists(id))) return 1
    if (performance.now() > deadline) throw failure ?? new Error(`the container ${id} stays`)
    await new Promise((go) => setTimeout(go, 10))
  }
}

/** Monitors of execs sleep for 300 s to tidy a record that is gone; the container's own end by themselves. */
async function endMonitors(id: string): Promise<void> {
  endExecMonitors(id)
  await until('its monitor ends', () => mentioning(id).length === 0)
}

function mountsOf(pid: number): number {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, 'utf8').trim().split('\n').length
  } catch {
    return 0
  }
}

async function until(what: string, done: () => boolean): Promise<void> {
  const deadline = performance.now() + END_TIMEOUT_MS
  while (!done()) {
    if (performance.now() > deadline)
      throw new LazarusError('runtime_failed', `Waited ${END_TIMEOUT_MS / 1000} s in vain until ${what}.`)
    await new Promise((go) => setTimeout(go, 2))
  }
}
