# Starts the sandboxes of levels 1 and 2 for the pit, which is too large to fork quickly.
#
#   perl -w shim.pl <arch> <path of hull.pl>
#
# Reads requests on stdin until the pit goes away: the number of fields, then the fields, each ended by NUL. Answers one
# line to each: "<id> <pid of the shim> <pid of the hull>", or "<id> - why not". A shim leads a session of its own and
# outlives this program and the pit: it keeps the log of its sandbox bounded, waits for the hull, and leaves the exit
# record.
use strict;

our ($arch, $HULL_FAILED);
($arch, my $library) = @ARGV;
do $library or die "$library: ", $@ || $!;

my @NAMES = qw(id root table network limits cgroup record log max_bytes files report word filter environment);

sub serve {
  local $/ = "\0";
  $SIG{CHLD} = 'IGNORE';
  while (defined(my $count = <STDIN>)) {
    chomp(my @fields = map { scalar <STDIN> } 1 .. $count =~ s/\0//r);
    my %request;
    @request{@NAMES} = splice @fields, 0, @NAMES;
    my @environment = splice @fields, 0, $request{environment};
    my $pid = fork;
    shim(\%request, \@environment, \@fields) if defined $pid && $pid == 0;
    answer(\*STDOUT, $request{id}, "- $!") unless defined $pid;
  }
}

sub answer {
  my ($to, @words) = @_;
  syswrite $to, join(' ', @words) . "\n";
}

sub opened {
  my ($mode, $path) = @_;
  open(my $handle, $mode, $path) or die "$path: $!\n";
  return $handle;
}

# What the agent says goes through the shim: no descriptor of the pit's reaches the inside.
sub shim {
  my ($request, $environment, $command) = @_;
  my $reply = opened('>&', \*STDOUT);
  my ($log, $init, $record) = eval {
    umask 077;
    $SIG{CHLD} = 'DEFAULT';
    $0 = 'lazarus-shim';
    kernel('a session', 'setsid');
    my $record = new_record($request->{record});
    my ($report, $word) = (opened('>', $request->{report}), opened('<', $request->{word}));
    my @filter = $request->{filter} eq '' ? () : (4, opened('<', $request->{filter}));
    pipe my $log, my $output or die "pipe: $!\n";
    hand_on(0, opened('<', '/dev/null'), 1, $output, 2, $output);
    my $init = launch_hull({
      %$request,
      tell => sub { syswrite $report, $_[0] },
      run => sub { become([3, $report, 5, $word, @filter], $environment, $command) },
      not_for_init => [$reply, $log, $output, $report, $word, @filter[1 .. $#filter]],
      ended => sub { syswrite $record, $_[0] },
    });
    ($log, $init, $record);
  } or answer($reply, $request->{id}, "- $@"), exit $HULL_FAILED;
  answer($reply, $request->{id}, $$, $init);
  close $reply;
  hand_on(map { $_ => opened('+<', '/dev/null') } 0 .. 2);
  keep_log($log, $request);
  waitpid $init, 0;
  syswrite $record, ' ' . take('/proc/sys/kernel/random/boot_id');
  exit 0;
}

# Made at the start with an empty line, so that a disk which is full at the end has room for the rest: the init of the
# hull adds the exit code (none when it was killed), the shim the boot id and the newline that makes it whole.
sub new_record {
  my $record = opened('>', $_[0]);
  syswrite $record, "\n";
  return $record;
}

sub become {
  my ($descriptors, $environment, $command) = @_;
  hand_on(@$descriptors);
  %ENV = (PATH => $ENV{PATH}, map { split /=/, $_, 2 } @$environment);
  exec { $command->[0] } @$command;
}

# To the end of the output, which comes when nobody inside is left. Lines are lost when the disk is full, but the agent
# is never blocked.
sub keep_log {
  my ($output, $request) = @_;
  my ($path, $most, $files) = @$request{qw(log max_bytes files)};
  my $file = eval { opened('>>', $path) };
  while (sysread $output, my $text, 65536) {
    while ($text ne '') {
      $file ||= eval { opened('>>', $path) };
      my $room = $most - ($file ? -s $file : 0);
      if ($room <= 0) {
        last unless rotate($path, $files);
        undef $file;
        next;
      }
      my $written = $file && syswrite $file, $text, $room;
      last unless $written;
      substr $text, 0, $written, '';
    }
  }
}

sub rotate {
  my ($path, $files) = @_;
  return truncate $path, 0 if $files < 2;
  rename "$path." . ($_ - 1), "$path.$_" for reverse 2 .. $files - 1;
  return rename $path, "$path.1";
}

serve();
