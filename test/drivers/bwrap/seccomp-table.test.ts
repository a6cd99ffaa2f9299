import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SYSCALL_NUMBERS } from '../../../src/drivers/shared/syscall-numbers.ts'
import { endAll, type HullHarness, openHarness, seat, type TrialSeat } from '../shared/trial-seat.ts'

const COLUMN = process.arch === 'arm64' ? 1 : 0
const [EPERM, ENOSYS, EAFNOSUPPORT, EBADF, EINVAL] = [1, 38, 97, 9, 22]

type Row = [name: string, errno: number, ...args: number[]]

/**
 * Each call with arguments for which the kernel itself has another answer than the filter: an errno that tells
 * "blocked" from "allowed but wrong".
 */
const BLOCKED: Row[] = [
  ['ptrace', EPERM, 1, -1, 0, 0],
  ['process_vm_readv', EPERM, 1, 0, 0, 0, 0, 1],
  ['perf_event_open', EPERM, 0, 0, -1, -1, -1],
  ['bpf', EPERM, 0, 0, 65536],
  ['userfaultfd', EPERM, 0x100001],
  ['io_uring_setup', EPERM, 0, 0],
  ['io_uring_enter', EPERM, -1, 0, 0, 0, 0, 0],
  ['io_uring_register', EPERM, -1, 0, 0, 0],
  ['keyctl', EPERM, 9999, 0, 0, 0, 0],
  ['add_key', EPERM, 0, 0, 0, 0, 0],
  ['request_key', EPERM, 0, 0, 0, 0],
  ['open_by_handle_at', EPERM, -1, 0, 0],
  ['name_to_handle_at', EPERM, -1, 0, 0, 0, -1],
  ['kcmp', EPERM, -1, -1, 99, 0, 0],
  ['pidfd_getfd', EPERM, -1, 0, 1],
  ['move_pages', EPERM, -1, 0, 0, 0, 0, 0],
  ['mbind', EPERM, 0, 0, 99, 0, 0, -1],
  ['get_mempolicy', EPERM, 0, 0, 0, 0, 0xff],
  ['set_mempolicy', EPERM, 99, 0, 0],
  ['migrate_pages', EPERM, -1, 0, 0, 0],
  ['unshare', EPERM, 0x1],
  ['setns', EPERM, -1, 0],
  ['clone', EPERM, 0x10000000 | 0x200, 0, 0, 0, 0],
  ['ioctl', EPERM, -1, 0x5412, 0],
  ['ioctl', EPERM, -1, 0x541c, 0],
  ['ioctl', EPERM, -1, 0x700005412, 0],
  ['personality', EPERM, 0x20000],
  ['clone3', ENOSYS, 0, 0],
  ['open_tree', ENOSYS, -1, 0, -1],
  ['move_mount', ENOSYS, -1, 0, -1, 0, -1],
  ['fspick', ENOSYS, -1, 0, -1],
  ['fsconfig', ENOSYS, -1, -1, 0, 0, 0],
  ['fsmount', ENOSYS, -1, -1, 0],
  ['mount_setattr', ENOSYS, -1, 0, -1, 0, 0],
  ['memfd_secret', ENOSYS, -1],
  ['socket', EAFNOSUPPORT, 17, 99, 0],
  ['socket', EAFNOSUPPORT, 16 + (1 << 30), 99, 0],
]

/** The neighbours of a blocked call still work: here the kernel answers, not the filter. */
const ALLOWED: Row[] = [
  ['ioctl', EBADF, -1, 0x5413, 0],
  ['socket', EINVAL, 1, 99, 0],
]

const PERL =
  'my ($nr, @args) = @ARGV; @args = map { $_ + 0 } @args; $! = 0; my $r = syscall($nr + 0, @args); print $r == -1 ? $! + 0 : 0'
const command = (name: string, args: readonly number[]) => [
  'perl',
  '-e',
  PERL,
  '--',
  String(SYSCALL_NUMBERS[name]![COLUMN]),
  ...args.map(String),
]

describe('level_2 seccomp, inside a real sandbox', () => {
  let harness: HullHarness
  let cell: TrialSeat
  beforeAll(async () => {
    harness = await openHarness('level_2')
    cell = await seat(harness)
  })
  afterAll(async () => {
    expect(await endAll(harness)).toEqual([])
    await harness[Symbol.asyncDispose]()
  })
  const inside = async (name: string, args: readonly number[]) => Number((await cell.run(command(name, args))).stdout)
  /** Positive control: the same call, unconfined, as the same user. */
  const outside = (name: string, args: readonly number[]) => {
    const [file, ...rest] = command(name, args)
    return Number(execFileSync(file!, rest, { encoding: 'utf8' }))
  }

  it.each(BLOCKED)('%s is refused with %i, which unconfined it is not', async (name, errno, ...args) => {
    expect(outside(name, args), 'positive control').not.toBe(errno)
    expect(await inside(name, args)).toBe(errno)
  })

  it.each(ALLOWED)('%s beside it is answered by the kernel with %i', async (name, errno, ...args) => {
    expect(await inside(name, args)).toBe(errno)
  })

  it.runIf(process.arch === 'x64')('a call of the x32 ABI ends the process', async () => {
    const x32 = ['perl', '-e', 'syscall(0x40000000 | 39); print "alive"']
    expect(execFileSync(x32[0]!, x32.slice(1), { encoding: 'utf8' }), 'positive control').toBe('alive')
    expect(await cell.run(x32)).toMatchObject({ signal: 'SIGSYS', stdout: '' })
  })
})
