import { readFileSync } from 'node:fs'
import type { Released } from '../../contract/mission.ts'
import { LazarusError } from '../../kernel/errors.ts'
import { isAlive, sendSignal } from '../../linux/process.ts'
import { endExecMonitors, mentioning, processesOf } from './cell-processes.ts'
import type { PodmanClient } from './client.ts'
import type { Step } from './deps.ts'
import { isGone } from './errors.ts'
import { runningOf } from './sandbox.ts'

const END_TIMEOUT_MS = 60_000

/**
 * Kills the container's init, which takes every process of its pid namespace along (setsid, double forks, ignored
 * signals, stopped or frozen ones), removes the container, and waits until nothing of it is left on the host. Only what
 * was found under our own name is removed: an id that somebody remembers may be of another pit's container.
 */
export async function endContainer(
  client: PodmanClient,
  id: string | null,
  found: { readonly State: { readonly Pid: number } } | null,
  step: Step,
): Promise<Released> {
  const running = found && id !== null ? runningOf(id, found.State.Pid) : null
  const processes = running ? processesOf(running.pid).length : 0
  const mounts = running ? mountsOf(running.pid) : 0
  step('destroy.kill')
  if (running && processes > 0) {
    sendSignal(running.pid, 'SIGKILL')
    await until('its processes end', () => !isAlive(running.pid, running.start_time))
  }
  step('destroy.remove')
  const containers = found && id !== null ? await remove(client, id) : 0
  step('destroy.rest')
  if (id !== null && (found || !(await client.exists(id)))) await endMonitors(id)
  return { processes, containers, mounts }
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
