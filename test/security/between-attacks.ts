import { type Attack, perl } from './attack.ts'
import { numberOf } from './numbers.ts'

const onHost = (name: string, script: string): Attack => ({ name, control: 'host', script })

/** Ends with 0 when the expression is true for one of the victims ($pid, by every number that it has). */
const forEach = (name: string, expression: string): Attack =>
  onHost(name, perl(`for my $pid (split / /, $ENV{PIDS}) { exit 0 if ${expression} } exit 1;`))

const one = (name: string, expression: string): Attack =>
  onHost(name, perl(`use Socket; my ($key, $name) = @ENV{qw(KEY NAME)}; exit((${expression}) ? 0 : 1);`))

const VM_READ = `do { my $buffer = "\\0" x 7; my $local = pack("P7 J", $buffer, 7); my $remote = pack("J J", $ENV{ADDRESS}, 7);
  syscall(${numberOf('process_vm_readv')}, $pid + 0, $local, 1, $remote, 1, 0) == 7 && $buffer eq "canary-" }`
const MEMORY = `do { my $text = ""; open(my $memory, "<", "/proc/$pid/mem"); sysseek($memory, $ENV{ADDRESS}, 0); sysread($memory, $text, 7);
  $text eq "canary-" }`
const DIAL = (address: string, family: string) =>
  `do { socket(my $s, ${family}, SOCK_STREAM, 0); connect($s, ${address}) }`

/** Against processes of the same user: $PIDS, with a secret at $ADDRESS, a memfd $MEMFD, IPC under $KEY and $NAME. */
export const AGAINST_PROCESSES: readonly Attack[] = [
  forEach('signal', 'kill(0, $pid)'),
  forEach('signal_group', 'kill(0, -$pid)'),
  forEach('read_priority', 'do { $! = 0; getpriority(0, $pid); $! == 0 }'),
  forEach('read_limits', `syscall(${numberOf('prlimit64')}, $pid + 0, 7, 0, my $old = "\\0" x 16) == 0`),
  forEach('pidfd_open', `syscall(${numberOf('pidfd_open')}, $pid + 0, 0) >= 0`),
  forEach('environment', 'do { open(my $f, "<", "/proc/$pid/environ"); local $/; (<$f> // "") =~ /canary-/ }'),
  forEach('memory_file', `do { open(my $f, "<", "/proc/$pid/fd/$ENV{MEMFD}"); (<$f> // "") =~ /canary-/ }`),
  forEach('proc_mem', MEMORY),
  forEach('process_vm_readv', VM_READ),
  forEach(
    'ptrace',
    `syscall(${numberOf('ptrace')}, 16, $pid + 0, 0, 0) == 0 && (waitpid($pid, 0), syscall(${numberOf('ptrace')}, 17, $pid + 0, 0, 0), 1)`,
  ),
  one(
    'shared_memory',
    'do { my $text; my $id = shmget($key, 0, 0); defined($id) && shmread($id, $text, 0, 7) && $text eq "canary-" }',
  ),
  one(
    'shared_memory_by_id',
    'do { my $text; my $hit = 0; for (0 .. 4095) { $hit = 1 if shmread($_, $text, 0, 7) && $text eq "canary-" } $hit }',
  ),
  one(
    'message_queue',
    'do { my $text; my $id = msgget($key, 0); defined($id) && msgrcv($id, $text, 64, 0, 04000) && $text =~ /canary-/ }',
  ),
  one('semaphore', 'defined(semget($key, 0, 0))'),
  one('posix_shared_memory', 'do { open(my $f, "<", "/dev/shm/$name"); (<$f> // "") =~ /canary-/ }'),
  one('posix_message_queue', `syscall(${numberOf('mq_open')}, my $path = $name, 0, 0, 0) >= 0`),
  one('abstract_socket', DIAL('pack_sockaddr_un("\\0$name")', 'AF_UNIX')),
  one('loopback', DIAL('pack_sockaddr_in($ENV{PORT}, INADDR_LOOPBACK)', 'AF_INET')),
]
