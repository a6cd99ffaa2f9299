import { SYSCALL_NUMBERS } from '../../src/drivers/shared/syscall-numbers.ts'

/** Calls that no filter refuses and that attacks need, on x86_64 and aarch64. */
const MORE: Readonly<Record<string, readonly [x86_64: number, aarch64: number]>> = {
  getpid: [39, 172],
  inotify_add_watch: [254, 27],
  inotify_init1: [294, 26],
  memfd_create: [319, 279],
  mq_open: [240, 180],
  mq_unlink: [241, 181],
  pidfd_open: [434, 434],
  prctl: [157, 167],
  prlimit64: [302, 261],
  renameat2: [316, 276],
}

/** The number of a system call on this machine; null where it has none. */
export function numberOf(name: string): number | null {
  const numbers = MORE[name] ?? SYSCALL_NUMBERS[name]
  if (!numbers) throw new Error(`${name} is not in the table`)
  return numbers[process.arch === 'x64' ? 0 : 1]
}
