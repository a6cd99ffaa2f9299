import { sendSignal } from '../../linux/process.ts'
import { processesOf } from './cell-processes.ts'
import { containerCgroup } from './cgroups.ts'
import type { PodmanClient } from './client.ts'
import { isConflict, translate } from './errors.ts'

/**
 * By Podman, which then refuses execs; in a container without a cgroup of its own by stopping each process, until a
 * look finds no more of them than the one before.
 */
export async function freezeOrThaw(
  client: PodmanClient,
  { pid, id }: { pid: number; id: string },
  to: 'freeze' | 'thaw',
): Promise<void> {
  if (containerCgroup(pid, id) === null) return signalAll(pid, to === 'freeze' ? 'SIGSTOP' : 'SIGCONT')
  try {
    await (to === 'freeze' ? client.pause(id) : client.unpause(id))
  } catch (error) {
    const already = isConflict(error) || /(already|not) paused/i.test(String(error))
    if (!already) throw translate(error, `The cell could not ${to}`)
  }
}

/** All but the init, which must reap. */
function signalAll(init: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
  let before = -1
  for (;;) {
    const others = processesOf(init).filter((pid) => pid !== init)
    if (others.length === before) return
    for (const pid of others) sendSignal(pid, signal)
    before = others.length
  }
}
