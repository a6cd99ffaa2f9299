# The hull: namespaces and mounts around a command, made with the kernel's own calls.
#
#   perl -w hull.pl <arch> <root> <mount table> <network> <rlimits> command…
#
# waits for the command and hands its exit code on; a hull that cannot be made ends with 125 and says why on stderr.
# Loaded by another program, this file only defines `launch_hull`.
use strict;

our $HULL_FAILED = 125;

# Numbers of system calls, by Node's name of the architecture.
our $arch;
my %CALLS = (
  x64 => { clone => 56, unshare => 272, prctl => 157, pivot_root => 155, mount => 165, umount2 => 166, dup3 => 292,
    setsid => 112, prlimit64 => 302, mknodat => 259 },
  arm64 => { clone => 220, unshare => 97, prctl => 167, pivot_root => 41, mount => 40, umount2 => 39, dup3 => 24,
    setsid => 157, prlimit64 => 261, mknodat => 33 },
);

# Dies with $what was attempted. Perl hands strings over as pointers, and wants them in variables.
sub kernel {
  my ($what, $call, @args) = @_;
  my $answer = syscall($CALLS{$arch}{$call}, @args);
  die "$what: $!\n" if $answer == -1;
  return $answer;
}

sub put {
  my ($path, $text) = @_;
  open(my $file, '>', $path) or die "$path: $!\n";
  defined syswrite $file, $text or die "$path: $!\n";
}

sub take {
  my ($path) = @_;
  open(my $file, '<', $path) or die "$path: $!\n";
  local $/;
  return scalar <$file>;
}

# Descriptor => handle …, for the next program. Each is moved out of the way of the others first.
sub hand_on {
  my ($F_DUPFD_CLOEXEC, $ABOVE) = (1030, 10);
  my (%handles) = @_;
  my %aside = map { $_ => fcntl $handles{$_}, $F_DUPFD_CLOEXEC, $ABOVE } keys %handles;
  kernel("descriptor $_", 'dup3', $aside{$_}, $_ + 0, 0) for keys %handles;
  open my $closed, '<&=', $_ for values %aside;
}

# As a shell tells it: a signal is 128 and its number.
sub exit_code {
  my ($status) = @_;
  return $status & 127 ? 128 + ($status & 127) : $status >> 8;
}

my %NAMESPACE = (mount => 0x20000, cgroup => 0x2000000, uts => 0x4000000, ipc => 0x8000000, user => 0x10000000,
  pid => 0x20000000, network => 0x40000000);
my $SIGCHLD = 17;

sub namespaces {
  my $flags = 0;
  $flags |= $NAMESPACE{$_} for @_;
  return $flags;
}

# Uid and gid of this user become uid 0 of the new namespace.
sub become_root {
  my ($user, $group) = @_;
  put('/proc/self/setgroups', 'deny');
  put('/proc/self/uid_map', "0 $user 1");
  put('/proc/self/gid_map', "0 $group 1");
}

# Whoever kills the parent has killed the hull.
sub die_with_parent {
  my ($PR_SET_PDEATHSIG, $SIGKILL) = (1, 9);
  kernel('death of the parent', 'prctl', $PR_SET_PDEATHSIG, $SIGKILL, 0, 0, 0);
}

my %OPTION = (ro => 0x1, nosuid => 0x2, nodev => 0x4, noexec => 0x8, bind => 0x1000, rbind => 0x5000);
my ($BIND, $RECURSIVE_BIND, $REMOUNT, $PRIVATE) = (0x1000, 0x5000, 0x20, 0x44000);

# One line of an fstab. The kernel takes what limits a bind in a second call alone.
sub mount_line {
  my ($source, $target, $type, $options) = map { s/\\([0-7]{3})/chr oct $1/ger } split / /, $_[0];
  my ($flags, @data) = (0);
  for (split /,/, $options) {
    if (exists $OPTION{$_}) { $flags |= $OPTION{$_} } else { push @data, $_ }
  }
  my $data = join ',', @data;
  return kernel("mount: $target", 'mount', $source, $target, $type, $flags, $data) unless $flags & $BIND;
  kernel("mount: $source at $target", 'mount', $source, $target, $type, $flags & $RECURSIVE_BIND, $data);
  my $limits = $flags & ~$RECURSIVE_BIND;
  kernel("mount: limits of $target", 'mount', $source, $target, $type, $limits | $BIND | $REMOUNT, $data) if $limits;
}

# The first line mounts the root over itself. Nothing that is mounted here is seen outside, nor the other way round.
sub mount_all {
  my ($table) = @_;
  my ($none, $everywhere) = ('none', '/');
  kernel('propagation', 'mount', $none, $everywhere, $none, $PRIVATE, 0);
  mount_line($_) for split /\n/, $table;
}

sub enter_root {
  my ($root) = @_;
  my ($here, $old, $DETACH) = ('.', '.old', 2);
  chdir $root or die "$root: $!\n";
  kernel('the new root could not be entered', 'pivot_root', $here, $old);
  kernel('the old root could not be left', 'umount2', $old, $DETACH);
  chdir '/' or die "/: $!\n";
}

# A kernel without IPv4 still makes a hull.
sub raise_loopback {
  my ($AF_INET, $SOCK_DGRAM, $SIOCSIFFLAGS, $IFF_UP) = (2, 2, 0x8914, 0x1);
  socket(my $socket, $AF_INET, $SOCK_DGRAM, 0) or return;
  ioctl $socket, $SIOCSIFFLAGS, pack('Z16 s x22', 'lo', $IFF_UP);
}

my %RLIMIT = (fsize => 1, core => 4, nproc => 6, nofile => 7);

# "name:value …", hard and soft.
sub set_limits {
  for (split / /, $_[0]) {
    my ($name, $value) = split /:/;
    my $both = pack 'QQ', $value, $value;
    kernel("the limit $_ could not be set", 'prlimit64', 0, $RLIMIT{$name}, $both, 0);
  }
}

# Starts the init of a hull: root (a directory), table (text), network (own, none or host), limits, cgroup (or '');
# `tell` takes what goes wrong, `run` becomes the command and returns only by failing, `ended` takes its exit code;
# handles `not_for_init` are closed when the command has them.
# Gives the host pid of the init. That is pid 1 inside and stays: it reaps orphans, its end ends everything.
sub launch_hull {
  my ($hull) = @_;
  my ($user, $group) = ($>, (split / /, $))[0]);
  my $new = namespaces(qw(user mount pid ipc uts), $hull->{network} eq 'host' ? () : 'network');
  my $init = kernel('the namespaces could not be made', 'clone', $new | $SIGCHLD, 0, 0, 0, 0);
  return $init if $init != 0;
  eval {
    die_with_parent();
    become_root($user, $group);
    put("$hull->{cgroup}/cgroup.procs", 0) if $hull->{cgroup} ne '';
    kernel('the cgroup namespace', 'unshare', namespaces('cgroup'));
    mount_all($hull->{table});
    raise_loopback() if $hull->{network} eq 'own';
    enter_root($hull->{root});
    set_limits($hull->{limits});
    1;
  } or $hull->{tell}->("hull: could not be made whole: $@"), exit $HULL_FAILED;
  my $command = start($hull->{run});
  close $_ for @{ $hull->{not_for_init} };
  my $code = reap($command);
  $hull->{ended}->($code);
  exit $code;
}

sub start {
  my ($run) = @_;
  my $child = fork;
  return $child if $child;
  $run->() if defined $child;
  print STDERR "hull: $!\n";
  exit 127;
}

# Waits for every child until this one has ended.
sub reap {
  my ($child) = @_;
  my $ended = 0;
  $ended = wait until $ended == $child;
  return exit_code($?);
}

sub main {
  ($arch, my ($root, $table, $network, $limits), my @command) = @_;
  my $init = launch_hull({
    root => $root, table => take($table), network => $network, limits => $limits, cgroup => '',
    tell => sub { print STDERR @_ },
    run => sub { exec { $command[0] } @command },
    not_for_init => [],
    ended => sub { },
  });
  waitpid $init, 0;
  exit exit_code($?);
}

main(@ARGV) unless caller;
1;
