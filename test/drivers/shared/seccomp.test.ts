import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileSeccomp, type SeccompProfile } from '../../../src/drivers/shared/seccomp.ts'
import { SYSCALL_NUMBERS } from '../../../src/drivers/shared/syscall-numbers.ts'
import { ROOT } from '../../support/source-tree.ts'

const PROFILE = JSON.parse(readFileSync(join(ROOT, 'policies', 'seccomp.json'), 'utf8')) as SeccompProfile
const X86_64 = 0xc000003e
const AARCH64 = 0xc00000b7
const I386 = 0x40000003
const ALLOW = 0x7fff0000
const KILL = 0x80000000
const errno = (number: number) => 0x00050000 | number

interface Call {
  readonly arch: number
  readonly nr: number
  readonly args: readonly bigint[]
}

/** Classic BPF as the kernel runs it, for the instructions that seccomp filters use. */
function execute(program: Uint8Array, call: Call): number {
  const code = new DataView(program.buffer)
  const data = new DataView(new ArrayBuffer(64))
  data.setUint32(0, call.nr, true)
  data.setUint32(4, call.arch, true)
  for (const [index, arg] of call.args.entries()) data.setBigUint64(16 + index * 8, BigInt.asUintN(64, arg), true)
  let accumulator = 0
  for (let at = 0; ; at += 1) {
    const [op, jt, jf, k] = [
      code.getUint16(at * 8, true),
      code.getUint8(at * 8 + 2),
      code.getUint8(at * 8 + 3),
      code.getUint32(at * 8 + 4, true),
    ]
    if (op === 0x06) return k
    if (op === 0x20) accumulator = data.getUint32(k, true)
    else if (op === 0x54) accumulator = (accumulator & k) >>> 0
    else if (op === 0x05) at += k
    else if (op === 0x15) at += accumulator === k ? jt : jf
    else if (op === 0x25) at += accumulator > k ? jt : jf
    else if (op === 0x35) at += accumulator >= k ? jt : jf
    else throw new Error(`instruction ${op.toString(16)}`)
  }
}

const x64 = compileSeccomp(PROFILE, 'x64')
const arm64 = compileSeccomp(PROFILE, 'arm64')
const on = (name: string, ...args: bigint[]) => execute(x64, { arch: X86_64, nr: SYSCALL_NUMBERS[name]![0]!, args })

describe('seccomp filter', () => {
  it('is at least as strict as that of Flatpak', () => {
    const refused =
      'syslog uselib acct quotactl add_key keyctl request_key move_pages mbind get_mempolicy set_mempolicy migrate_pages unshare setns mount umount2 pivot_root chroot perf_event_open ptrace'
    for (const name of refused.split(' ')) expect(on(name), name).toBe(errno(1))
    for (const name of 'clone3 open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr'.split(' ')) {
      expect(on(name), name).toBe(errno(38))
    }
    expect(on('personality', 0n)).toBe(ALLOW)
    expect(on('personality', 8n)).toBe(errno(1))
    expect(on('personality', 1n << 32n)).toBe(errno(1))
  })

  it('refuses what the security model names beyond it', () => {
    const names =
      'bpf userfaultfd io_uring_setup io_uring_enter io_uring_register open_by_handle_at kexec_load init_module process_vm_readv'
    for (const name of names.split(' ')) expect(on(name), name).toBe(errno(1))
  })

  it('looks at the bits that the kernel looks at', () => {
    expect(on('clone', 0x10000000n)).toBe(errno(1))
    expect(on('clone', 0x7e020011n | 0x10000000n)).toBe(errno(1))
    expect(on('clone', 0x00011n)).toBe(ALLOW)
    expect(on('ioctl', 0n, 0x5412n)).toBe(errno(1))
    expect(on('ioctl', 0n, 0xdeadbeef00005412n)).toBe(errno(1))
    expect(on('ioctl', 0n, 0x541cn)).toBe(errno(1))
    expect(on('ioctl', 0n, 0x5413n)).toBe(ALLOW)
    for (const family of [0n, 1n, 2n, 10n, 16n]) expect(on('socket', family)).toBe(ALLOW)
    for (const family of [3n, 17n, 38n, 40n, 45n, 46n, 1000n, 1n << 32n, -1n])
      expect(on('socket', family), String(family)).toBe(errno(97))
  })

  it('ends a process of a foreign ABI', () => {
    expect(execute(x64, { arch: I386, nr: 39, args: [] })).toBe(KILL)
    expect(execute(x64, { arch: X86_64, nr: 0x40000000 | 39, args: [] })).toBe(KILL)
    expect(execute(arm64, { arch: X86_64, nr: 39, args: [] })).toBe(KILL)
    expect(execute(arm64, { arch: AARCH64, nr: 172, args: [] })).toBe(ALLOW)
  })

  it('decides every call as the profile reads, on both architectures', () => {
    const arg = fc.oneof(
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      fc.constantFrom(0n, 1n, 17n, 0x5412n, 0x10000000n, 0xffffffffn),
    )
    const nr = fc.oneof(
      fc.nat(480),
      fc.constantFrom(...Object.values(SYSCALL_NUMBERS).flatMap((pair) => pair.filter((n) => n !== null))),
    )
    fc.assert(
      fc.property(nr, fc.array(arg, { minLength: 6, maxLength: 6 }), fc.boolean(), (number, args, intel) => {
        const made = execute(intel ? x64 : arm64, { arch: intel ? X86_64 : AARCH64, nr: number, args })
        expect(made).toBe(reading(number, args, intel ? 0 : 1))
      }),
      { numRuns: 2000 },
    )
  })

  it('refuses profiles that it does not understand', () => {
    expect(() => compileSeccomp({ ...PROFILE, defaultAction: 'SCMP_ACT_ERRNO' }, 'x64')).toThrow(/deny lists/)
    const rule = { names: ['no_such_call'], action: 'SCMP_ACT_ERRNO' }
    expect(() => compileSeccomp({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule] }, 'x64')).toThrow(/no_such_call/)
    const odd = { names: ['mount'], action: 'SCMP_ACT_TRAP' }
    expect(() => compileSeccomp({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [odd] }, 'x64')).toThrow(/SCMP_ACT_TRAP/)
  })
})

/** The profile by its plain meaning: the first rule that fits. */
function reading(number: number, args: readonly bigint[], column: 0 | 1): number {
  const fits = PROFILE.syscalls.find(
    (rule) =>
      rule.names.some((name) => SYSCALL_NUMBERS[name]![column] === number) &&
      (rule.args ?? []).every(({ index, value, valueTwo = 0, op }) => {
        const [given, wanted] = [args[index]!, BigInt(value)]
        if (op === 'SCMP_CMP_MASKED_EQ') return (given & wanted) === BigInt(valueTwo)
        if (op === 'SCMP_CMP_EQ') return given === wanted
        if (op === 'SCMP_CMP_NE') return given !== wanted
        return given >= wanted
      }),
  )
  return fits ? errno(fits.errnoRet ?? 1) : ALLOW
}
