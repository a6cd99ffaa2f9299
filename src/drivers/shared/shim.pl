# Starts the sandboxes of levels 1 and 2 for the pit. A request is answered with the pids of the shim and of the init.
#
#   perl -w shim.pl <arch> <hull.pl> <coprocess.pl>
#
# A shim leads a session of its own and outlives this program and the pit: it keeps the log of its sandbox bounded,
# waits for the hull, and leaves the exit record. One that was killed left no word of its sandbox, which ended with it.
use strict;

our ($arch, $HULL_FAILED);
($arch, my @libraries) = @ARGV;
for (@libraries) { do $_ or die "$_: ", $@ || $! }

my @NAMES = qw(root table network limits cgroup record log max_bytes files report word filter environment);

sub start_sandbox {
  my ($id, @fields) = @_;
  my %request = (id => $id);
  @request{@NAMES} = splice @fields, 0, @NAMES;
  my @environment = splice @fields, 0, $request{environment};
  shim(\%request, \@environment, \@fields);
}

# What the agent says goes through the shim: no descriptor of the pit's reaches the inside.
sub shim {
  my ($request, $environment, $command) = @_;
  my $reply = opened('>&', \*STDOUT);
  my ($log, $told, $init, $record) = eval {
    umask 077;
    $0 = 'lazarus-shim';
    kernel('a session', 'setsid');
    my $record = new_record($request->{record});
    my ($report, $word) = (opened('>', $request->{report}), opened('<', $request->{word}));
    my @filter = $request->{filter} eq '' ? () : (4, opened('<', $request->{filter}));
    pipe my $log, my $output or die "pipe: $!\n";
    pipe my $told, my $end or die "pipe: $!\n";
    hand_on(0, opened('<', '/dev/null'), 1, $output, 2, $output);
    my $init = launch_hull({
      %$request,
      tell => sub { syswrite $report, $_[0] },
      run => sub { become([3, $report, 5, $word, @filter], $environment, $command) },
      not_for_init => [$reply, $record, $log, $output, $told, $report, $word, @filter[1 .. $#filter]],
      ended => sub { syswrite $end, $_[0] . (end_others() ? ' alone' : '') },
    });
    ($log, $told, $init, $record);
  } or answer($reply, $request->{id}, "- $@"), exit $HULL_FAILED;
  answer($reply, $request->{id}, $$, $init);
  close $reply;
  hand_on(map { $_ => opened('+<', '/dev/null') } 0 .. 2);
  my $keep = log_keeper($request);
  my $boot = take('/proc/sys/kernel/random/boot_id') =~ s/\s//gr;
  my ($code, $alone) = split / /, keep_until_end($log, $told, $keep);
  waitpid $init, 0 unless defined $code;
  syswrite $record, join(' ', $code // '', $boot, $alone // ()) . "\n";
  keep_rest($log, $keep);
  waitpid $init, 0;
  exit 0;
}

# What the init does when the agent has ended, before it tells: whoever is told may start a successor on the same layer.
# False when something did not end within a second.
sub end_others {
  kill 'KILL', -1 if $$ == 1; # anywhere else it would reach whatever is the operator's
  return eval {
    local $SIG{ALRM} = sub { die "late\n" };
    alarm 1;
    1 while wait != -1;
    alarm 0;
    1;
  };
}

# Made at the start with an empty line, so that a disk which is full at the end has room for the rest: exit code (none
# when the init was killed), boot id, and "alone" when nothing was left but the init, which the kernel takes down with
# its mounts: to write out what the layer holds may take it a while, and nobody needs to wait for that.
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

# Takes output until the agent has ended, and what it wrote before; gives what the init tells, '' when that was killed.
sub keep_until_end {
  my ($output, $told, $keep) = @_;
  my ($text, $most) = ('', 1 << 20);
  while (!readable(undef, $output, $told) || !readable(0, $told)) {
    sysread $output, $text, 65536 or last;
    $keep->($text);
  }
  sysread $told, my $said, 64;
  # Whoever writes on now is not the agent; no pipe holds more than this.
  while ($most > 0 && readable(0, $output) && sysread $output, $text, 65536) {
    $keep->($text);
    $most -= length $text;
  }
  return $said;
}

# To the end of the output, which comes when nobody inside is left.
sub keep_rest {
  my ($output, $keep) = @_;
  my $text;
  $keep->($text) while sysread $output, $text, 65536;
}

# Whether one of the handles can be read within so many seconds; undef waits for ever.
sub readable {
  my ($seconds, @handles) = @_;
  my $set = '';
  vec($set, fileno $_, 1) = 1 for @handles;
  return select($set, undef, undef, $seconds) > 0;
}

# Lines are lost when the disk is full, but the agent is never blocked.
sub log_keeper {
  my ($request) = @_;
  my ($path, $most, $files) = @$request{qw(log max_bytes files)};
  my $file = eval { opened('>>', $path) };
  return sub {
    my ($text) = @_;
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
  };
}

sub rotate {
  my ($path, $files) = @_;
  return truncate $path, 0 if $files < 2;
  rename "$path." . ($_ - 1), "$path.$_" for reverse 2 .. $files - 1;
  return rename $path, "$path.1";
}

serve_requests({ sandbox => \&start_sandbox }, 1);
