import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../src/linux/run.ts'
import { LEVELS, type Mission, type SeatOnStage, Stage } from './stage.ts'

/**
 * The pit is started from a terminal, as an operator does it by hand: what it spawns must not type there. Perl makes
 * the terminal, leaves a child at its other end, enters it, and becomes the pit.
 */
const IN_A_TERMINAL = [
  'perl',
  '-e',
  `use Fcntl; use POSIX (); sysopen(my $master, "/dev/ptmx", O_RDWR | O_NOCTTY) or die "no ptmx: $!";
ioctl($master, 0x40045431, my $unlock = pack("i", 0)) or die; ioctl($master, 0x80045430, my $number = pack("i", 0)) or die;
my $pid = fork // die;
if (!$pid) { open($_, "+>", "/dev/null") for *STDIN, *STDOUT, *STDERR; 1 while sysread($master, my $text, 4096); exit }
POSIX::setsid(); close STDIN; sysopen(STDIN, "/dev/pts/" . unpack("i", $number), O_RDWR) or die; exec @ARGV`,
]

/** Types into every terminal that can be reached; prints where it could, and the error numbers where it could not. */
const TYPE = `use Fcntl; use POSIX (); my %open;
for my $path ("/dev/tty", "/dev/console", "/dev/tty0", "/dev/tty1", glob("/dev/pts/*"), map { "/proc/self/fd/$_" } 0 .. 2) {
  next if $path =~ /ptmx/; sysopen(my $tty, $path, O_RDWR | O_NOCTTY) or next; POSIX::isatty($tty) or next;
  for my $request (0x5412, 0x541c) { $! = 0; my $text = "\\x0c"; print "$path ", ioctl($tty, $request, $text) ? "typed" : $! + 0, "\\n" } }
  print POSIX::isatty(0) || POSIX::isatty(1) || POSIX::isatty(2) ? "terminal" : "none", "\\n"`

/** A terminal of its own, as agents need them: made, entered, and typed into. Prints 0 or the error number. */
const OWN = `use Fcntl; use POSIX (); sysopen(my $master, "/dev/ptmx", O_RDWR | O_NOCTTY) or die "no ptmx: $!";
ioctl($master, 0x40045431, my $unlock = pack("i", 0)) or die; ioctl($master, 0x80045430, my $number = pack("i", 0)) or die;
my $slave = "/dev/pts/" . unpack("i", $number); my $pid = fork // die;
if (!$pid) { POSIX::setsid(); sysopen(my $tty, $slave, O_RDWR) or POSIX::_exit(99); $! = 0; my $x = "x"; POSIX::_exit(ioctl($tty, 0x5412, $x) ? 0 : $!) }
waitpid $pid, 0; print $? >> 8, "\\n"`

/** Linux 6.2 can take TIOCSTI away from everybody: it then answers EIO. */
const withoutFilter = (): string => {
  try {
    return readFileSync('/proc/sys/dev/tty/legacy_tiocsti', 'utf8').trim() === '1' ? '0\n' : '5\n'
  } catch {
    return '0\n'
  }
}

let stage: Stage
beforeAll(async () => {
  stage = await Stage.open({ TERM: 'xterm' }, {}, IN_A_TERMINAL)
})
afterAll(() => stage?.[Symbol.asyncDispose]())

it('the pit has a terminal', () => {
  const terminal = readFileSync(`/proc/${stage.pit.pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')[4]
  expect(Number(terminal)).not.toBe(0)
})

it('whoever sits at a terminal can open it (positive control)', async () => {
  const command = `perl -e '${TYPE.replaceAll("'", "'\\''")}'`
  const { stdout } = await run('script', ['--quiet', '--flush', '--return', '--command', command, '/dev/null'], {
    environment: { PATH: '/usr/bin:/bin', SHELL: '/bin/sh' },
  })
  expect(stdout.toString()).toMatch(withoutFilter() === '0\n' ? /\/dev\/tty typed/ : /\/dev\/tty \d+/)
  expect(stdout.toString()).toMatch(/terminal/)
  expect((await run('perl', ['-e', OWN], { environment: { PATH: '/usr/bin:/bin' } })).stdout.toString()).toBe(
    withoutFilter(),
  )
})

describe.each(LEVELS)('the terminal of the operator from a cell of %s', (level) => {
  let mission: Mission
  let eve: SeatOnStage
  beforeAll(async () => {
    mission = await stage.mission(level)
    eve = await mission.seat('eve', { command: ['sh', '-c', 'perl -e "$0"; exec sleep infinity', TYPE] })
  })

  it('is out of reach, of the agent and of an exec', async () => {
    expect(await eve.said()).toBe('none\n')
    expect((await eve.perl(TYPE)).stdout).toBe('none\n')
  })

  it('a terminal of its own can be made; nobody types into it where there is a filter', async () => {
    const EPERM = '1\n'
    expect((await eve.perl(OWN)).stdout).toBe(level === 'level_1' ? withoutFilter() : EPERM)
  })

  it('is destroyed', async () => {
    expect(await mission.destroy()).toMatchObject({ status: 'destroyed' })
  })
})
