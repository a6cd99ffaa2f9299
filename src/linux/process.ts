import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** What /proc says of processes. Synchronous: each read is some microseconds and cannot block. */
export interface ProcessFact {
  readonly pid: number
  readonly state: string
  readonly parent: number
  readonly group: number
  /** Set from the beginning of its exit: an init is so while it ends the processes of its namespace. */
  readonly exiting: boolean
  /** Ticks since boot; with the boot id it names a process for ever. */
  readonly start_ticks: string
}

const PF_EXITING = 0x4

let boot: string | undefined

export function bootId(): string {
  boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return boot
}

function readProc(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/** null when there is no such process. The name in parentheses may hold anything, so fields count from the last one. */
export function processFact(pid: number, proc = '/proc'): ProcessFact | null {
  const text = readProc(`${proc}/${pid}/stat`)
  if (text === null) return null
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return {
    pid,
    state: fields[0]!,
    parent: Number(fields[1]),
    group: Number(fields[2]),
    exiting: (Number(fields[6]) & PF_EXITING) !== 0,
    start_ticks: fields[19]!,
  }
}

/** Identity of a process beyond its pid: "<boot id>:<start in ticks>". null when it is gone. */
export function startTime(pid: number): string | null {
  const fact = processFact(pid)
  return fact && `${bootId()}:${fact.start_ticks}`
}

export const bootOf = (start_time: string): string => start_time.slice(0, start_time.indexOf(':'))

/** Whether exactly this process lives. A zombie does not. */
export function isAlive(pid: number | null, start_time: string | null): boolean {
  if (pid === null || start_time === null) return false
  const fact = processFact(pid)
  return fact !== null && !'ZX'.includes(fact.state) && `${bootId()}:${fact.start_ticks}` === start_time
}

/** Arguments separated and ended by NUL; empty when the process is gone. */
export const commandLine = (pid: number): string => readProc(`/proc/${pid}/cmdline`) ?? ''

/** Children of one thread of a process, by default of its first. */
export function childrenOf(pid: number, thread = pid): number[] {
  const text = readProc(`/proc/${pid}/task/${thread}/children`)
  return text === null ? [] : text.split(' ').filter(Boolean).map(Number)
}

/** Follows the youngest children down to one that has none. */
export function youngestDescendant(pid: number): number {
  let leaf = pid
  for (let children = childrenOf(leaf); children.length > 0; children = childrenOf(leaf)) leaf = children.at(-1)!
  return leaf
}

/** "user:[4026531837]", or null when the process is gone or closed to us. */
export function namespaceOf(pid: number | 'self', kind: string): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`)
  } catch {
    return null
  }
}

export function allPids(proc = '/proc'): number[] {
  try {
    return readdirSync(proc)
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
  } catch {
    return []
  }
}

/** Sends a signal; false when there is nobody to take it. */
export function sendSignal(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
