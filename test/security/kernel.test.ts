import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../src/linux/run.ts'
import { answersOf, CALLS, callWords, NAMES_IN_PROFILE, TRY_CALLS } from './calls.ts'
import { numberOf } from './numbers.ts'
import { LEVELS, type Mission, type SeatOnStage, Stage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await Stage.open()
})
afterAll(() => stage?.[Symbol.asyncDispose]())

async function onHost(program: string, ...args: string[]): Promise<string> {
  return (
    await run('perl', ['-e', program, ...args], { environment: { PATH: '/usr/bin:/bin' }, cwd: '/var/tmp' })
  ).stdout.toString()
}

/** Each tries one way to a user namespace and prints what became of it: "made" or the error number. */
const NEST = [
  `syscall(${numberOf('unshare')}, 0x10000000) == 0`,
  `($r = syscall(${numberOf('clone')}, 0x10000000 | 17, 0, 0, 0, 0)) >= 0`,
  `($r = syscall(${numberOf('clone3')}, $args, 64)) >= 0`,
]
  .map(
    (
      made,
    ) => `{ my $pid = fork // die; if (!$pid) { my $r = 1; my $args = pack("Q*", 0x10000000, 0, 0, 0, 17, 0, 0, 0); $! = 0;
  my $text = ${made} ? "made" : $! + 0; syswrite STDOUT, "$text\\n" if $r != 0; kill 9, $$ } waitpid $pid, 0 }`,
  )
  .join('\n')

/** Runs setuid programs and prints those that got another effective uid; what they were stays readable after their end. */
const SETUID = `my @found; for my $program (grep { -u && -x } map { glob } "/usr/bin/*", "/usr/sbin/*", "/usr/lib/*/*", "/opt/*") {
  my $pid = fork // die; if (!$pid) { open(STDIN, "<", "/dev/null"); open($_, ">", "/dev/null") for *STDOUT, *STDERR; exec $program, "--version"; kill 9, $$ }
  select undef, undef, undef, 0.01 until do { open(my $f, "<", "/proc/$pid/stat"); <$f> =~ /\\) Z/ } || $n++ > 200; $n = 0;
  open(my $f, "<", "/proc/$pid/status"); local $/; push @found, $program if <$f> =~ /^Uid:\\t(\\d+)\\t(\\d+)/m && $1 != $2; kill 9, $pid; waitpid $pid, 0 }
  print scalar(@found), "\\n"`

/** A 32-bit program of 96 bytes that ends with 42 by int 0x80. */
const ELF32 =
  '7f454c46010101000000000000000000020003000100000054800408340000000000000000000000340020000100000000000000' +
  '010000000000000000800408008004086000000060000000050000000010000' +
  '0b801000000bb2a000000cd80'
const FOREIGN: readonly (readonly [what: string, program: string, host: RegExp])[] =
  process.arch !== 'x64'
    ? []
    : [
        [
          'a call of the x32 ABI',
          'my $pid = fork; if (!$pid) { $! = 0; my $r = syscall(0x40000027); exit($r > 0 ? 1 : $! + 0) } waitpid $pid, 0; print $? & 127 || "lived"',
          /^lived$/,
        ],
        [
          'a 32-bit program',
          `my $f = "./thirty-two-$$"; open(my $o, ">", $f); binmode $o; print $o pack("H*", "${ELF32}"); close $o; chmod 0700, $f; system $f; unlink $f; print $? & 127 || $? >> 8 || "unable"`,
          /^(42|unable|255)$/,
        ],
      ]

/**
 * Podman reads the profile with the libseccomp of the host, which leaves out names that are younger than itself (2.5.4
 * of Debian 12 knows Linux 5.17). These need capabilities that no cell has, or tell what /proc/self/mountinfo tells.
 */
const TOO_NEW = ['open_tree_attr', 'statmount', 'listmount', 'listns']

it('every call of the profile is tried', () => {
  const known = new Set(CALLS.map(({ name }) => name))
  expect(NAMES_IN_PROFILE.filter((name) => !known.has(name) && numberOf(name) !== null)).toEqual([])
})

describe.each(LEVELS)('the kernel from a cell of %s', (level) => {
  const filtered = level !== 'level_1'
  let mission: Mission
  let eve: SeatOnStage
  beforeAll(async () => {
    mission = await stage.mission(level)
    eve = await mission.seat('eve')
  })

  it(
    filtered ? 'refuses every call of the profile' : 'is not filtered: the same calls are refused by privileges alone',
    async () => {
      const { stdout } = await eve.perl(TRY_CALLS, ...callWords(CALLS))
      const answers = answersOf(stdout)
      const expected = level === 'level_3' ? CALLS.filter(({ name }) => !TOO_NEW.includes(name)) : CALLS
      const passed = expected
        .filter(({ title, refusal }) => answers.get(title) !== String(refusal))
        .map(({ title }) => `${title}: ${answers.get(title)}`)
      if (filtered) expect(passed).toEqual([])
      else expect(passed.length).toBeGreaterThan(30)
    },
  )

  it('makes no user namespace', async () => {
    expect((await onHost(NEST)).trim().split('\n'), 'positive control').toEqual(['made', 'made', 'made'])
    const inside = (await eve.perl(NEST)).stdout.trim().split('\n')
    expect(inside).toHaveLength(3)
    expect(inside).not.toContain('made')
    expect((await eve.sh('echo 9 >/proc/sys/user/max_user_namespaces')).exit_code).not.toBe(0)
  })

  it('gives nothing to setuid programs', async () => {
    expect(Number(await onHost(SETUID)), 'positive control').toBeGreaterThan(0)
    expect((await eve.perl(SETUID)).stdout).toBe('0\n')
    const status = (
      await eve.sh('grep -E "^(NoNewPrivs|Cap(Prm|Eff|Bnd|Amb)|Seccomp):" /proc/self/status | tr -d "\\t"')
    ).stdout
    expect(status).toBe(
      `CapPrm:0000000000000000\nCapEff:0000000000000000\nCapBnd:0000000000000000\nCapAmb:0000000000000000\nNoNewPrivs:1\nSeccomp:${filtered ? 2 : 0}\n`,
    )
    expect(
      await onHost('open(my $f, "<", "/proc/self/status"); print grep { /^NoNewPrivs/ } <$f>'),
      'positive control',
    ).toBe('NoNewPrivs:\t0\n')
  })

  it.each(FOREIGN)('ends %s where there is a filter', async (_, program, host) => {
    expect(await onHost(program), 'positive control').toMatch(host)
    const SIGSYS = '31'
    const inside = (await eve.perl(program)).stdout
    if (filtered) expect([SIGSYS, 'unable', '255']).toContain(inside)
    else expect(inside).toMatch(host)
  })

  it('is destroyed', async () => {
    expect(await mission.destroy()).toMatchObject({ status: 'destroyed' })
  })
})

it('without a filter the kernel answers otherwise to what the profile refuses (positive control)', async () => {
  const answers = answersOf(await onHost(TRY_CALLS, ...callWords(CALLS)))
  const telling = CALLS.filter(({ title, refusal }) => answers.get(title) !== String(refusal)).map(({ title }) => title)
  const always =
    'add_key mbind unshare setns mount umount2 chroot ptrace process_vm_readv process_vm_writev clone3 open_tree mount_setattr name_to_handle_at settimeofday clone_newuser tiocsti tiocsti_with_high_bits tioclinux personality'
  expect(telling).toEqual(expect.arrayContaining(always.split(' ')))
})
