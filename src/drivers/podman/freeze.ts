import { existsSync } from 'node:fs'
import { freezeCgroup, isFrozen } from '../../linux/cgroup.ts'
import { sendSignal } from '../../linux/process.ts'
import { processesOf } from './cell-processes.ts'
import { containerCgroup } from './cgroups.ts'
import type { PodmanClient } from './client.ts'
import { isConflict, translate } from './errors.ts'

const WITHIN_MS = 5_000

/**
 * By the container's own cgroup, in less than a millisecond: an exec that comes meanwhile waits. Where that is not ours
 * to write, by Podman, which then refuses execs; in a container without a cgroup of its own by stopping each process.
 * `ours`: ids of those that this pit has frozen.
 */
export async function freezeOrThaw(
  client: () => Promise<PodmanClient>,
  { pid, id }: { pid: number; id: string },
  to: 'freeze' | 'thaw',
  ours: Set<string>,
): Promise<void> {
  const cgroup = containerCgroup(pid, id)
  if (cgroup === null) return signalAll(pid, to === 'freeze' ? 'SIGSTOP' : 'SIGCONT')
  if (to === 'freeze') ours.add(id)
  // Somebody may have paused it with podman, which then must know of the end of that, or it takes no exec.
  const byOthers = to === 'thaw' && !ours.delete(id) && isFrozen(cgroup)
  if (byOthers || !(await byCgroup(cgroup, to === 'freeze'))) await byPodman(await client(), id, to)
  if (byOthers) await byCgroup(cgroup, false)
}

/** false: the cgroup is not ours to write. One that has gone needs neither. */
async function byCgroup(cgroup: string, frozen: boolean): Promise<boolean> {
  try {
    freezeCgroup(cgroup, frozen)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENODEV') return true
    if (code === 'EACCES' || code === 'EPERM') return false
    throw translate(error, 'The cell could not be frozen or thawed')
  }
  // Thawed at once; to come to a halt takes each process a moment.
  for (const end = performance.now() + WITHIN_MS; frozen && existsSync(cgroup) && !isFrozen(cgroup); ) {
    if (performance.now() > end)
      throw translate(new Error(`not within ${WITHIN_MS} ms`), 'The cell could not be frozen')
    await new Promise((go) => setTimeout(go, 1))
  }
  return true
}

async function byPodman(client: PodmanClient, id: string, to: 'freeze' | 'thaw'): Promise<void> {
  try {
    await (to === 'freeze' ? client.pause(id) : client.unpause(id))
  } catch (error) {
    const already = isConflict(error) || /(already|not) paused/i.test(String(error))
    if (!already) throw translate(error, `The cell could not ${to}`)
  }
}

/**
 * All but the init, which must reap, until a look finds no more of them than the one before: a stopped process forks
 * nothing, so the number settles.
 */
function signalAll(init: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
  let before = -1
  for (;;) {
    const others = processesOf(init).filter((pid) => pid !== init)
    if (others.length === before) return
    for (const pid of others) sendSignal(pid, signal)
    before = others.length
  }
}
