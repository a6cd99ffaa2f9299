import { readdirSync } from 'node:fs'
import { LazarusError } from '../../kernel/errors.ts'
import { freezeCgroup, isFrozen } from '../../linux/cgroup.ts'
import { SYSTEM_PATH } from '../../linux/hull.ts'
import { allPids, childrenOf, isAlive, namespaceOf, processFact, sendSignal } from '../../linux/process.ts'
import { run } from '../../linux/run.ts'
import type { RunningExecs } from './exec.ts'
import type { ProcessId } from './records.ts'

const WITHIN_MS = 5_000
/** Stopping from outside is given up after so long: somebody forks faster than we look. */
const ROUNDS_MS = 100

export async function freezeByCgroup(cgroup: string, frozen: boolean): Promise<void> {
  freezeCgroup(cgroup, frozen)
  await until(() => isFrozen(cgroup) === frozen)
}

/**
 * Where no cgroup does it, in a millisecond or two and without starting a program: whatever descends from the init or
 * from an exec is signalled, again and again until a look from inside finds none that runs. What is stopped forks no
 * more, so the rounds end.
 */
export async function freezeBySignal(hull: ProcessId, execs: RunningExecs, frozen: boolean): Promise<void> {
  if (!frozen) return thaw(hull, execs)
  const end = performance.now() + ROUNDS_MS
  for (;;) {
    signalAll(hull, execs, 'SIGSTOP')
    if (isHalted(hull, execs)) return
    if (performance.now() > end) break
    await new Promise((go) => setTimeout(go, 1))
  }
  await signalFromInside(hull, 'STOP')
  await until(() => isHalted(hull, execs))
}

/** Costs as little when nothing is frozen. An exec that an earlier pit left is found by being one more. */
async function thaw(hull: ProcessId, execs: RunningExecs): Promise<void> {
  const found = signalAll(hull, execs, 'SIGCONT')
  if (pidsIn(hull).length > found && statesIn(hull).includes('T')) await signalFromInside(hull, 'CONT')
}

/** Returns how many there are. */
function signalAll(hull: ProcessId, execs: RunningExecs, signal: 'SIGSTOP' | 'SIGCONT'): number {
  const inside = namespaceOf(hull.pid, 'pid')
  const joined = [...execs.leaders].flatMap((leader) => childrenOf(leader))
  const all = descendants([hull.pid, ...joined.filter((pid) => namespaceOf(pid, 'pid') === inside)])
  all.delete(hull.pid)
  for (const pid of all) sendSignal(pid, signal)
  return all.size
}

function descendants(roots: readonly number[]): Set<number> {
  const all = new Set(roots)
  for (const pid of all) {
    for (const thread of threadsOf(pid)) for (const child of childrenOf(pid, thread)) all.add(child)
  }
  return all
}

/** Each thread has the children of its own. */
function threadsOf(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number)
  } catch {
    return []
  }
}

/** D: the parent of a vfork waits like this for a child that is stopped. */
const HALTED = 'TtDZX'

const isHalted = (hull: ProcessId, execs: RunningExecs): boolean =>
  statesIn(hull).every((state) => HALTED.includes(state)) && [...execs.leaders].every(waitsForHalted)

/**
 * nsenter stops along with the command that it waits for, a moment later: one that had not yet done so when it is thawed
 * would stop for ever. One without a child has still to bring its command in, or has seen it end.
 */
function waitsForHalted(leader: number): boolean {
  const state = processFact(leader)?.state ?? 'X'
  return HALTED.includes(state) || childrenOf(leader).some((child) => processFact(child)?.state === 'D')
}

const procOf = (hull: ProcessId): string => `/proc/${hull.pid}/root/proc`

/** All processes in the pid namespace but its init, by their numbers there, read from the /proc that the hull mounted. */
const pidsIn = (hull: ProcessId): number[] => allPids(procOf(hull)).filter((pid) => pid !== 1)

const statesIn = (hull: ProcessId): string[] =>
  pidsIn(hull).flatMap((pid) => processFact(pid, procOf(hull))?.state ?? [])

/** kill -1 inside the pid namespace reaches every process at once, but the hull's init and the sender. */
async function signalFromInside(hull: ProcessId, signal: 'STOP' | 'CONT'): Promise<void> {
  const kill = ['/bin/sh', '-c', 'kill "$1" -1', 'lazarus-freeze', `-${signal}`]
  const enter = ['--target', String(hull.pid), '--user', '--preserve-credentials', '--pid', '--', ...kill]
  const done = await run('nsenter', enter, { environment: { PATH: SYSTEM_PATH } })
  const isEmpty = () => pidsIn(hull).length === 0
  if (done.exit_code !== 0 && isAlive(hull.pid, hull.start_time) && !isEmpty()) throw failed(done.stderr)
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
