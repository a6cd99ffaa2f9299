# Runs short-lived programs in hulls for the pit.
#
#   perl -w hull-runner.pl <arch> <hull.pl> <coprocess.pl>
#
# A hull is answered with the pid of a process that leads a session of its own, waits for the program and hands its exit
# code on; its end ends the hull.
use strict;

our ($arch, $HULL_FAILED);
($arch, my @libraries) = @ARGV;
for (@libraries) { do $_ or die "$_: ", $@ || $! }

my $SET_PIPE_SIZE = 1031;

sub run_hull {
  my ($id, $cwd, $table, $network, $limits, $in, $out, $err, $variables, @rest) = @_;
  my $reply = opened('>&', \*STDOUT);
  my %environment = map { split /=/, $_, 2 } splice @rest, 0, $variables;
  eval {
    kernel('a session', 'setsid');
    chdir $cwd or die "$cwd: $!\n";
    hand_on(0, opened('<', $in), 1, opened('>', $out), 2, opened('>', $err));
    fcntl STDOUT, $SET_PIPE_SIZE, 1 << 20; # as large as it may be: archives go through it
    1;
  } or answer($reply, $id, "- $@"), exit $HULL_FAILED;
  answer($reply, $id, $$);
  close $reply;
  my $init = eval {
    launch_hull({
      root => 'root', table => $table, network => $network, limits => $limits, cgroup => '',
      tell => sub { print STDERR @_ },
      run => sub { %ENV = %environment; exec { $rest[0] } @rest },
      not_for_init => [],
      ended => sub { },
    });
  };
  print STDERR "hull: $@" and exit $HULL_FAILED unless defined $init;
  hand_on(map { $_ => opened('+<', '/dev/null') } 0 .. 2);
  waitpid $init, 0;
  exit exit_code($?);
}

serve_requests({ hull => \&run_hull }, 0.01);
