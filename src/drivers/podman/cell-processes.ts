import { readFileSync } from 'node:fs'
import { LazarusError } from '../../kernel/errors.ts'
import { allPids, childrenOf, isAlive, namespaceOf, processFact, sendSignal, startTime } from '../../linux/process.ts'
import type { ProcessId } from '../shared/records.ts'

const END_TIMEOUT_MS = 60_000

/** Everything that runs in the container whose first process is `init`: its pid namespace, seen from the host. */
export function processesOf(init: number): number[] {
  const namespace = namespaceOf(init, 'pid')
  if (namespace === null || namespace === namespaceOf('self', 'pid')) return []
  return allPids().filter((pid) => namespaceOf(pid, 'pid') === namespace)
}

/** The agent: the first child of the container's init. Orphans that init adopts come after it. */
export const agentOf = (init: number): number | null => childrenOf(init)[0] ?? null

/**
 * RLIMIT_LOCKS means nothing to Linux since 2.6, is inherited over fork, exec and setsid, and cannot be raised again:
 * as a mark it finds every descendant of an exec, also one that forked twice, closed its pipes and cleared its
 * environment. A process that lowers its own mark on purpose is not found; it stays confined and ends with the cell.
 */
export function markedWith(mark: number, init: number): number[] {
  return processesOf(init).filter((pid) => lockLimit(pid) === mark)
}

function lockLimit(pid: number): number | null {
  try {
    const match = /^Max file locks\s+\S+\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))
    return match ? Number(match[1]) : null
  } catch {
    return null
  }
}

/** Kills them, and those that were forked meanwhile, until a look finds none. Returns whether there were any. */
export function killMarked(mark: number, init: number): boolean {
  let any = false
  for (let round = 0; round < 1000; round += 1) {
    const found = markedWith(mark, init).filter((pid) => !isZombie(pid))
    if (found.length === 0) return any
    any = true
    for (const pid of found) sendSignal(pid, 'SIGKILL')
  }
  return any
}

function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return 'ZX'.includes(stat[stat.lastIndexOf(')') + 2]!)
  } catch {
    return true
  }
}

/**
 * Every process of the host that names the container: its monitor, those of its execs, Podman's own tidying. What runs
 * in a cell could name it too, to be taken for one of these: it is in another pid namespace.
 */
export function mentioning(container: string): number[] {
  const host = namespaceOf('self', 'pid')
  return allPids().filter((pid) => commandLine(pid).includes(container) && namespaceOf(pid, 'pid') === host)
}

/** The monitors of execs that ended sleep on, two for each. Without `exec`: of all execs. */
export function endExecMonitors(container: string, exec?: string): void {
  for (const pid of execMonitorsOf(container)) {
    if (exec === undefined || commandLine(pid).includes(`\0-u\0${exec}\0`)) sendSignal(pid, 'SIGKILL')
  }
}

export const execMonitorsOf = (container: string): number[] =>
  mentioning(container).filter((pid) => {
    const line = commandLine(pid)
    return isMonitor(line) && line.includes('\0--exec-process-spec\0')
  })

const isMonitor = (line: string) => line.slice(0, line.indexOf('\0')).endsWith('/conmon')

/** conmon, which started the container's first process; null when that has another parent (by now). */
export function monitorOf(init: number): ProcessId | null {
  const pid = processFact(init)?.parent ?? 0
  const start_time = startTime(pid)
  return start_time !== null && isMonitor(commandLine(pid)) ? { pid, start_time } : null
}

/** Where a monitor keeps exit files, by its own command line; null when it cannot be read. */
export function exitDirectoryOf({ pid }: ProcessId): string | null {
  const args = commandLine(pid).split('\0')
  const directory = args[args.indexOf('--exit-dir') + 1]
  return directory?.startsWith('/') ? directory : null
}

/** Ends the init, which takes every process of its pid namespace along: from here on nothing of the cell runs or writes. */
export async function endCell({ pid, start_time }: ProcessId): Promise<void> {
  if (isAlive(pid, start_time)) sendSignal(pid, 'SIGKILL')
  for (const deadline = performance.now() + END_TIMEOUT_MS; isAlive(pid, start_time); ) {
    if (performance.now() > deadline)
      throw new LazarusError('runtime_failed', `The cell of process ${pid} did not end within ${END_TIMEOUT_MS} ms.`)
    await new Promise((go) => setTimeout(go, 1))
  }
}

export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return ''
  }
}
