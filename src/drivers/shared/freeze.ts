import { LazarusError } from '../../kernel/errors.ts'
import { freezeCgroup, isFrozen } from '../../linux/cgroup.ts'
import { SYSTEM_PATH } from '../../linux/hull.ts'
import { allPids, isAlive, processFact } from '../../linux/process.ts'
import { run } from '../../linux/run.ts'
import type { ProcessId } from './records.ts'

const WITHIN_MS = 5_000

export async function freezeByCgroup(cgroup: string, frozen: boolean): Promise<void> {
  freezeCgroup(cgroup, frozen)
  await until(() => isFrozen(cgroup) === frozen)
}

/**
 * Where no cgroup does it: kill -1 inside the pid namespace reaches every process at once, but the hull's init and
 * the sender. A stopped process cannot fork, so none slips through.
 */
export async function freezeBySignal(hull: ProcessId, frozen: boolean): Promise<void> {
  const kill = ['/bin/sh', '-c', 'kill "$1" -1', 'lazarus-freeze', frozen ? '-STOP' : '-CONT']
  const enter = ['--target', String(hull.pid), '--user', '--preserve-credentials', '--pid', '--', ...kill]
  const done = await run('nsenter', enter, { environment: { PATH: SYSTEM_PATH } })
  const alone = () => others(hull).length === 0
  if (done.exit_code !== 0 && isAlive(hull.pid, hull.start_time) && !alone()) throw failed(done.stderr)
  // D: the parent of a vfork waits like this for a child that is stopped.
  if (frozen) await until(() => others(hull).every((state) => 'TtDZX'.includes(state)))
}

/** States of all processes in the pid namespace but its init, read from the /proc that the hull mounted. */
function others(hull: ProcessId): string[] {
  const proc = `/proc/${hull.pid}/root/proc`
  return allPids(proc).flatMap((pid) => (pid === 1 ? [] : (processFact(pid, proc)?.state ?? [])))
}

async function until(reached: () => boolean): Promise<void> {
  const end = performance.now() + WITHIN_MS
  while (!reached()) {
    if (performance.now() > end) throw failed(`not within ${WITHIN_MS} ms`)
    await new Promise((go) => setTimeout(go, 1))
  }
}

const failed = (why: string): LazarusError =>
  new LazarusError('runtime_failed', `The sandbox could not be frozen or thawed: ${why.trim()}`)
