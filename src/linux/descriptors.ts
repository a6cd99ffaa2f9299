import { closeSync, readdirSync, readFileSync } from 'node:fs'

const O_CLOEXEC = 0o2000000

/** Descriptors of a process that a program started by it would get. */
export function inheritable(pid: number | 'self'): number[] {
  return readdirSync(`/proc/${pid}/fd`)
    .map(Number)
    .filter((fd) => !closesOnExec(pid, fd))
}

function closesOnExec(pid: number | 'self', fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))
    return (Number.parseInt(flags?.[1] ?? '0', 8) & O_CLOEXEC) !== 0
  } catch {
    return true // Closed meanwhile: the listing itself was one.
  }
}

/**
 * Closes what this process inherited beyond 0 to 2. Node opens everything close-on-exec, so what is not was handed
 * down by whoever started the pit, and would be handed on to every agent.
 */
export function closeInherited(): void {
  for (const fd of inheritable('self')) if (fd > 2) closeSync(fd)
}
