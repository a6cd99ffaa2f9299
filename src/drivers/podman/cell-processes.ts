import { readFileSync } from 'node:fs'
import { allPids, childrenOf, namespaceOf, processFact, sendSignal } from '../../linux/process.ts'

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

/** Every process that names the container: its monitor, those of its execs, Podman's own tidying. */
export const mentioning = (container: string): number[] =>
  allPids().filter((pid) => commandLine(pid).includes(container))

/** The monitors of execs sleep for 300 s after the end of the exec, two of them for each. */
export const execMonitorsOf = (container: string): number[] =>
  mentioning(container).filter((pid) => {
    const line = commandLine(pid)
    return isMonitor(line) && line.includes('\0--exec-process-spec\0')
  })

const isMonitor = (line: string) => line.slice(0, line.indexOf('\0')).endsWith('/conmon')

/** Where the monitor of a container keeps its exit files, by its own command line; null when it cannot be read. */
export function monitorOf(init: number): { readonly exits: string; readonly bundle: string } | null {
  const line = commandLine(processFact(init)?.parent ?? 0)
  const args = line.split('\0')
  const after = (flag: string) => args[args.indexOf(flag) + 1]
  const [exits, bundle] = [after('--exit-dir'), after('-b')]
  return isMonitor(line) && exits?.startsWith('/') && bundle?.startsWith('/') ? { exits, bundle } : null
}

export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return ''
  }
}
