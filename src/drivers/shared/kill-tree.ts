import { allPids, childrenOf, namespaceOf, processFact, sendSignal } from '../../linux/process.ts'

const ROUNDS = 1_000

/**
 * Ends everything that an exec started. Its processes may have left by setsid and a double fork, but not its user
 * namespace, which no other process of the sandbox shares: that is their mark. Where nested user namespaces are
 * allowed, descendants count too.
 */
export async function killExecTree(leader: number, hull_pid: number): Promise<void> {
  const mark = markOf(leader, hull_pid)
  if (mark !== null) {
    for (let round = 0; round < ROUNDS; round += 1) {
      const left = allPids().filter((pid) => namespaceOf(pid, 'user') === mark && processFact(pid)?.state !== 'Z')
      const killed = withDescendants(left).filter((pid) => sendSignal(pid, 'SIGKILL'))
      if (killed.length === 0) break
      await new Promise((go) => setImmediate(go))
    }
  }
  sendSignal(-leader, 'SIGKILL')
}

/** The user namespace below the hull's, seen from the process that entered it. */
function markOf(leader: number, hull_pid: number): string | null {
  const outside = [namespaceOf('self', 'user'), namespaceOf(hull_pid, 'user')]
  for (let pid: number | undefined = leader; pid !== undefined; pid = childrenOf(pid)[0]) {
    const namespace = namespaceOf(pid, 'user')
    if (namespace !== null && !outside.includes(namespace)) return namespace
  }
  return null
}

function withDescendants(pids: readonly number[]): number[] {
  const all = new Set(pids)
  for (const pid of all) for (const child of childrenOf(pid)) all.add(child)
  return [...all]
}
