import { LazarusError } from '../../kernel/errors.ts'
import { BpfProgram, type Label } from './bpf.ts'
import { SYSCALL_NUMBERS } from './syscall-numbers.ts'

/** The part of the OCI (Docker) seccomp format that policies/seccomp.json uses; Podman takes the same file. */
export interface SeccompProfile {
  readonly defaultAction: string
  readonly syscalls: readonly SeccompRule[]
}
interface SeccompRule {
  readonly names: readonly string[]
  readonly action: string
  readonly errnoRet?: number
  /** All of them must hold. */
  readonly args?: readonly SeccompCondition[]
}
interface SeccompCondition {
  readonly index: number
  readonly value: number
  readonly valueTwo?: number
  readonly op: string
}

const ARCHITECTURES = {
  x64: { audit: 0xc000003e, column: 0 },
  arm64: { audit: 0xc00000b7, column: 1 },
} as const
export type SeccompArch = keyof typeof ARCHITECTURES

const ALLOW = 0x7fff0000
const ERRNO = 0x00050000
const KILL_PROCESS = 0x80000000
const X32_BIT = 0x40000000
const EPERM = 1

/** Offsets in struct seccomp_data, little-endian. */
const NUMBER = 0
const ARCHITECTURE = 4
const low = (index: number) => 16 + index * 8
const high = (index: number) => low(index) + 4

const invalid = (what: string): LazarusError =>
  new LazarusError('policy_invalid', `The seccomp profile is wrong: ${what}`)

/**
 * Compiles a deny list to the classic BPF that the kernel runs on each system call. Foreign ABIs (32-bit, x32) kill
 * the process, as libseccomp does for an architecture that is not listed.
 */
export function compileSeccomp(profile: SeccompProfile, arch: SeccompArch): Uint8Array {
  if (profile.defaultAction !== 'SCMP_ACT_ALLOW')
    throw invalid('only deny lists (defaultAction SCMP_ACT_ALLOW) are taken')
  const { audit, column } = ARCHITECTURES[arch]
  const program = new BpfProgram()
  const foreign = Symbol('foreign')
  const native = Symbol('native')
  program.load(ARCHITECTURE)
  program.jump('jeq', audit, null, foreign)
  program.load(NUMBER)
  if (arch === 'x64') program.jump('jge', X32_BIT, foreign, native)
  else program.goto(native)
  program.place(foreign)
  program.return(KILL_PROCESS)
  program.place(native)
  for (const [number, rules] of byNumber(profile, column)) oneCall(program, number, rules)
  program.return(ALLOW)
  return program.assemble()
}

function byNumber(profile: SeccompProfile, column: 0 | 1): Map<number, SeccompRule[]> {
  const calls = new Map<number, SeccompRule[]>()
  for (const rule of profile.syscalls) {
    for (const name of rule.names) {
      const numbers = SYSCALL_NUMBERS[name]
      if (!numbers) throw invalid(`${name} is not in src/drivers/shared/syscall-numbers.ts`)
      const number = numbers[column]
      if (number !== null) calls.set(number, [...(calls.get(number) ?? []), rule])
    }
  }
  return calls
}

/** The word with the number is loaded on entry and, where the block is left, still is. */
function oneCall(program: BpfProgram, number: number, rules: readonly SeccompRule[]): void {
  const matched = Symbol('matched')
  const next = Symbol('next call')
  program.jump('jeq', number, matched, null)
  program.goto(next)
  program.place(matched)
  const always = rules.find((rule) => !rule.args?.length)
  for (const rule of always ? [always] : rules) {
    const miss = Symbol('next rule')
    for (const condition of rule.args ?? []) compare(program, condition, miss)
    program.return(verdict(rule))
    program.place(miss)
  }
  if (!always) program.return(ALLOW)
  program.place(next)
}

function verdict(rule: SeccompRule): number {
  if (rule.action === 'SCMP_ACT_ERRNO') return ERRNO | (rule.errnoRet ?? EPERM)
  if (rule.action === 'SCMP_ACT_KILL_PROCESS') return KILL_PROCESS
  throw invalid(`the action ${rule.action} is not taken`)
}

const words = (value: number): { hi: number; lo: number } => ({
  hi: Math.floor(value / 2 ** 32) >>> 0,
  lo: (value % 2 ** 32) >>> 0,
})

/** Falls through when the 64-bit argument fits, else jumps to `miss`. */
function compare(program: BpfProgram, condition: SeccompCondition, miss: Label): void {
  const { index, op } = condition
  const { hi, lo } = words(condition.value)
  const hit = Symbol('hit')
  switch (op) {
    case 'SCMP_CMP_MASKED_EQ':
      masked(program, index, words(condition.value), words(condition.valueTwo ?? 0), miss)
      break
    case 'SCMP_CMP_EQ':
      masked(program, index, { hi: 0xffffffff, lo: 0xffffffff }, { hi, lo }, miss)
      break
    case 'SCMP_CMP_NE':
      program.load(high(index))
      program.jump('jeq', hi, null, hit)
      program.load(low(index))
      program.jump('jeq', lo, miss, hit)
      break
    case 'SCMP_CMP_GE':
      program.load(high(index))
      program.jump('jgt', hi, hit, null)
      program.jump('jeq', hi, null, miss)
      program.load(low(index))
      program.jump('jge', lo, hit, miss)
      break
    default:
      throw invalid(`the comparison ${op} is not taken`)
  }
  program.place(hit)
}

function masked(
  program: BpfProgram,
  index: number,
  mask: { hi: number; lo: number },
  wanted: { hi: number; lo: number },
  miss: Label,
): void {
  for (const [offset, half] of [
    [high(index), 'hi'],
    [low(index), 'lo'],
  ] as const) {
    if (mask[half] === 0 && wanted[half] === 0) continue
    program.load(offset)
    if (mask[half] !== 0xffffffff) program.and(mask[half])
    program.jump('jeq', wanted[half], null, miss)
  }
}
