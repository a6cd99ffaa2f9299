import { randomInt, randomUUID } from 'node:crypto'
import { numberOf } from './numbers.ts'

/** What a process has that another one may come for. */
export interface Belongings {
  readonly pid: number
  readonly address: string
  readonly memfd: number
  readonly port: number
}

/** Names by which its belongings can be found; the same for a victim on the host and for one in a cell. */
export const makeNames = () => ({ KEY: String(randomInt(1, 2 ** 31 - 1)), NAME: `lazarus-test-${randomUUID()}` })

/**
 * Keeps a secret ($ENV{SECRET}) in memory, in shared memory of every kind, in queues, behind sockets; says as JSON
 * where. Lets itself be traced by anybody of its user, as on a host without Yama. Ends with its stdin, and takes
 * everything along.
 */
export const VICTIM = `
use strict; use Socket; $| = 1;
my ($secret, $key, $name) = @ENV{qw(SECRET KEY NAME)};
syscall(${numberOf('prctl')}, 0x59616d61, -1, 0, 0, 0);
my $shm = shmget($key, 64, 01600); shmwrite($shm, $secret, 0, 64);
my $queue = msgget($key, 01600); msgsnd($queue, pack("l! a*", 1, $secret), 04000) for 1 .. 3;
my $semaphore = semget($key, 1, 01600);
open(my $posix, ">", "/dev/shm/$name"); syswrite $posix, $secret;
syscall(${numberOf('mq_open')}, my $path = $name, 0102, 0600, 0);
my $memfd = syscall(${numberOf('memfd_create')}, $name, 0); open(my $memory, "+<&=", $memfd); syswrite $memory, $secret;
socket(my $local, AF_UNIX, SOCK_STREAM, 0); bind($local, pack_sockaddr_un("\\0$name")); listen($local, 9);
socket(my $tcp, AF_INET, SOCK_STREAM, 0); bind($tcp, pack_sockaddr_in(0, INADDR_LOOPBACK)); listen($tcp, 9);
my ($port) = unpack_sockaddr_in(getsockname $tcp);
printf qq({"pid":%d,"address":"%s","memfd":%d,"port":%d}\\n), $$, unpack("J", pack("p", $secret)), $memfd, $port;
1 while <STDIN>;
shmctl($shm, 0, 0); msgctl($queue, 0, 0); semctl($semaphore, 0, 0, 0); unlink "/dev/shm/$name";
syscall(${numberOf('mq_unlink')}, $path);
`
