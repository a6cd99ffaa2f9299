import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SeccompProfile } from '../../src/drivers/shared/seccomp.ts'
import { ROOT } from '../support/source-tree.ts'
import { numberOf } from './numbers.ts'

/** A number, or the address -1, which nothing can be read from. */
type Argument = number | 'nowhere'

export interface Call {
  readonly title: string
  readonly name: string
  readonly args: readonly Argument[]
  /** What the profile answers. */
  readonly refusal: number
}

const nowhere = 'nowhere'
/** Flags that no kernel knows. */
const ODD = 0x7ffffff

/**
 * Every call that policies/seccomp.json refuses, with arguments that are wrong in a way which the kernel finds out
 * before it looks at privileges, wherever that is possible: then "refused" and "let through" have different answers.
 */
// biome-ignore format: a table
const ARGUMENTS: Readonly<Record<string, readonly Argument[]>> = {
  syslog: [99, 0, 0], uselib: [nowhere], acct: [nowhere], quotactl: [-1, nowhere, 0, 0], quotactl_fd: [-1, -1, 0, 0],
  add_key: [nowhere, nowhere, 0, 0, 0], keyctl: [9999, 0, 0, 0, 0], request_key: [nowhere, nowhere, 0, 0],
  move_pages: [0, 1, nowhere, nowhere, nowhere, 99], mbind: [1, 0, 99, 0, 0, 0], get_mempolicy: [0, 0, 0, 0, 99], set_mempolicy: [99, 0, 0],
  set_mempolicy_home_node: [1, 1, 99, 99], migrate_pages: [0, 99_999_999, 0, 0],
  unshare: [0], setns: [-1, 0], mount: [nowhere, nowhere, nowhere, 0, nowhere], umount2: [nowhere, ODD], pivot_root: [nowhere, nowhere], chroot: [nowhere],
  ptrace: [0, 0, 0, 0], process_vm_readv: [0, 0, 0, 0, 0, 99], process_vm_writev: [0, 0, 0, 0, 0, 99], process_madvise: [-1, 0, 0, 0, 99],
  kcmp: [0, 0, 99, 0, 0], pidfd_getfd: [-1, 0, 99], perf_event_open: [nowhere, 0, 0, -1, 0], bpf: [9999, 0, 0], userfaultfd: [ODD],
  io_uring_setup: [0, nowhere], io_uring_enter: [-1, 0, 0, 0, 0, 0], io_uring_register: [-1, 0, 0, 0],
  open_by_handle_at: [-1, nowhere, 0], name_to_handle_at: [-1, nowhere, nowhere, nowhere, ODD], fanotify_init: [ODD, 0], fanotify_mark: [-1, 0, 0, -1, 0],
  lookup_dcookie: [0, 0, 0], init_module: [nowhere, 0, nowhere], finit_module: [-1, nowhere, ODD], delete_module: [nowhere, 0],
  create_module: [nowhere, 0], get_kernel_syms: [0], query_module: [nowhere, 0, 0, 0, 0], kexec_load: [0, 99, 0, 0], kexec_file_load: [-1, -1, 0, 0, ODD],
  reboot: [0, 0, 0, 0], swapon: [nowhere, ODD], swapoff: [nowhere], iopl: [99], ioperm: [-1, 1, 1], modify_ldt: [99, 0, 0], nfsservctl: [0, 0, 0],
  _sysctl: [nowhere], sysfs: [99], vhangup: [], settimeofday: [nowhere, 0], clock_settime: [9999, 0], sethostname: [nowhere, -1], setdomainname: [nowhere, -1],
  clone3: [0, 0], open_tree: [-1, nowhere, ODD], open_tree_attr: [-1, nowhere, ODD, 0, 0], move_mount: [-1, nowhere, -1, nowhere, ODD],
  fsopen: [nowhere, ODD], fsconfig: [-1, 99, 0, 0, 0], fsmount: [-1, ODD, 0], fspick: [-1, nowhere, ODD], mount_setattr: [-1, nowhere, ODD, 0, 0],
  statmount: [0, 0, 0, ODD], listmount: [0, 0, 0, ODD], listns: [0, 0, 0, ODD], memfd_secret: [ODD],
  umount: [nowhere], clock_settime64: [9999, 0], stime: [nowhere], vm86: [0, 0], vm86old: [0],
}

/** Where the profile looks at an argument: the title says which. CLONE_THREAD without its companions is EINVAL. */
const BY_ARGUMENT: readonly (readonly [title: string, name: string, args: readonly Argument[]])[] = [
  ['clone_newuser', 'clone', [0x10000000 + 0x10000, 0, 0, 0, 0]],
  ['tiocsti', 'ioctl', [-1, 0x5412, 0]],
  ['tiocsti_with_high_bits', 'ioctl', [-1, 2 ** 32 + 0x5412, 0]],
  ['tioclinux', 'ioctl', [-1, 0x541c, 0]],
  ['personality', 'personality', [0x0400000]],
  ['vsock', 'socket', [40, 1, 0]],
  ['alg', 'socket', [38, 5, 0]],
  ['packet', 'socket', [17, 3, 0]],
  ['bluetooth', 'socket', [31, 3, 1]],
  ['unix_with_high_bits', 'socket', [2 ** 32 + 1, 1, 0]],
]

const profile = JSON.parse(readFileSync(join(ROOT, 'policies', 'seccomp.json'), 'utf8')) as SeccompProfile
const ruleOf = (name: string) => profile.syscalls.find((rule) => rule.names.includes(name))!

export const NAMES_IN_PROFILE = [...new Set(profile.syscalls.flatMap((rule) => rule.names))]

/** All that this machine has a number for. */
export const CALLS: readonly Call[] = [
  ...Object.entries(ARGUMENTS).map(([name, args]) => [name, name, args] as const),
  ...BY_ARGUMENT,
]
  .filter(([, name]) => numberOf(name) !== null)
  .map(([title, name, args]) => ({ title, name, args, refusal: ruleOf(name).errnoRet ?? 1 }))

/**
 * Each call in a process of its own, as "title answer": the error number, 0 when it succeeded, "killed" with the
 * signal. Arguments: "title number argument…", one call each.
 */
export const TRY_CALLS = `for my $call (@ARGV) {
  my ($title, @words) = split / /, $call; my $pid = fork // die;
  if (!$pid) { open(STDIN, "<", "/dev/null"); my ($nr, @args) = map { $_ + 0 } @words; $! = 0; my $r = syscall($nr, @args);
    printf "%s %d\\n", $title, $r == -1 ? $! : 0; close STDOUT; kill 9, $$ }
  waitpid $pid, 0; printf "%s killed by %d\\n", $title, $? & 127 if ($? & 127) != 9 }`

export const callWords = (calls: readonly Call[]): string[] =>
  calls.map(({ title, name, args }) =>
    [title, numberOf(name), ...args.map((arg) => (arg === nowhere ? -1 : arg))].join(' '),
  )

export const answersOf = (output: string): ReadonlyMap<string, string> =>
  new Map(output.split('\n').map((line) => [line.split(' ')[0]!, line.slice(line.indexOf(' ') + 1)]))
