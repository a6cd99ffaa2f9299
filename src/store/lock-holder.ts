import { readFileSync, statSync } from 'node:fs'

/** The device of a stat as `/proc/locks` spells it: major and minor in hexadecimal (makedev of Linux, 12 + 20 bits). */
function deviceName(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn)
  return [major, minor].map((n) => n.toString(16).padStart(2, '0')).join(':')
}

/** Pid of the process that the table of the kernel names as writer-locking this inode; null when it names none. */
export function findLockHolder(locks: string, dev: bigint, ino: bigint): number | null {
  const file = `${deviceName(dev)}:${ino}`
  for (const line of locks.split('\n')) {
    // "1: POSIX  ADVISORY  WRITE 4711 fd:00:123456 1073741825 1073742335"
    const [, kind, , access, pid, held] = line.trim().split(/\s+/)
    // A holder in a pid namespace that this process cannot see has no positive pid.
    if (kind === 'POSIX' && access === 'WRITE' && held === file && Number(pid) > 0) return Number(pid)
  }
  return null
}

/** Who holds the lock on a file, for a message: best effort, never throws. */
export function lockHolder(path: string): number | null {
  try {
    const { dev, ino } = statSync(path, { bigint: true })
    return findLockHolder(readFileSync('/proc/locks', 'utf8'), dev, ino)
  } catch {
    return null
  }
}
