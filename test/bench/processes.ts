import { readdirSync, readFileSync } from 'node:fs'

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

/** MiB of a process where a shared page counts in parts. */
export const proportionalMiB = (pid: number): number => kilobytes(pid, 'smaps_rollup', 'Pss') / 1024

/** The pids for which `wanted` says yes, given the whole command line with spaces. */
export function processes(wanted: (command: string) => boolean): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => wanted((read(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ')))
}
