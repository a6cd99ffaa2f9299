import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { pid as self } from 'node:process'

const TICKS_PER_SECOND = 100 // USER_HZ, the same on every Linux that Node runs on

const read = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null // The process is gone.
  }
}

/** Fields of /proc/<pid>/stat after the command's name, which may hold anything. Index 0 is field 3. */
const fields = (stat: string): string[] => stat.slice(stat.lastIndexOf(')') + 2).split(' ')

/** Seconds of CPU that a process has used, its reaped children left out. */
export function cpuSeconds(pid: number): number {
  const stat = read(`/proc/${pid}/stat`)
  if (stat === null) throw new Error(`process ${pid} is gone`)
  const [utime, stime] = [fields(stat)[11], fields(stat)[12]]
  return (Number(utime) + Number(stime)) / TICKS_PER_SECOND
}

/** Kilobytes of a field of /proc/<pid>/status or smaps_rollup. */
function kilobytes(pid: number, file: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(read(`/proc/${pid}/${file}`) ?? '')?.[1] ?? 0)
}

/** MiB of memory that a process has in RAM. */
export const residentMiB = (pid: number): number => kilobytes(pid, 'status', 'VmRSS') / 1024

/** MiB of processes, where a page that several share counts in parts. Throws when one of them may not be looked at. */
export function memoryOf(pids: readonly number[]): number {
  return pids.map(proportionalKiB).reduce((a, b) => a + b, 0) / 1024
}

function proportionalKiB(pid: number): number {
  const stat = read(`/proc/${pid}/stat`)
  if (stat === null || fields(stat)[0] === 'Z') return 0
  const found = kilobytes(pid, 'smaps_rollup', 'Pss')
  if (found === 0) throw new Error(`the memory of process ${pid} cannot be read`)
  return found
}

/** Its command line, to be read by people. */
export const commandOf = (pid: number): string => (read(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ').trim()

interface Process {
  readonly pid: number
  readonly parent: number
  readonly belongs: boolean
}

const link = (path: string): string => {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

/**
 * The daemon, every process that works in its directory or names it on its command line, and all their descendants:
 * sandboxes are no children of the daemon, because they outlive it.
 */
export function processesOf(directory: string, daemon: number): number[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .flatMap((pid): Process[] => {
      const stat = read(`/proc/${pid}/stat`)
      if (stat === null) return []
      const named =
        (read(`/proc/${pid}/cmdline`) ?? '').includes(directory) || link(`/proc/${pid}/cwd`).startsWith(directory)
      return [{ pid, parent: Number(fields(stat)[1]), belongs: named || pid === daemon }]
    })
  const found = new Set(all.filter((process) => process.belongs && process.pid !== self).map((process) => process.pid))
  for (let before = -1; before !== found.size; ) {
    before = found.size
    for (const { pid, parent } of all) if (found.has(parent)) found.add(pid)
  }
  return [...found]
}
