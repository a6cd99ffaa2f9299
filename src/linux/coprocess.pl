# What programs have in common that serve the pit for as long as it lives. They fork in a tenth of the time that the pit
# would need: that grows with the memory of who forks.
#
# A request comes on stdin: the number of fields, then the fields, each ended by NUL: its id, what is asked for, more.
# Answers go to stdout, a line each: "<id> <what is said>", and "ended <pid> <wait status>" for each child. The end of
# stdin ends the program, and nothing that it started.
use strict;

my $CHILDREN = 0;

# What is asked for is done in a child of its own, which ends with it. The end of a child is told at the latest after so
# many seconds. Fifos, which Node cannot make, take no time: "fifos", then their paths.
sub serve_requests {
  my ($in_child, $seconds) = @_;
  $SIG{CHLD} = sub { }; # only to be woken
  for (my $held = ''; ; wait_for_more(\$held, $seconds)) {
    while (my ($id, $asked, @fields) = next_request(\$held)) {
      if ($asked eq 'fifos') { make_fifos($id, @fields) }
      else { in_child($in_child->{$asked}, $id, @fields) }
    }
    bury();
  }
}

sub in_child {
  my ($do, $id, @fields) = @_;
  my $pid = fork;
  return answer(\*STDOUT, $id, "- $!") unless defined $pid;
  return $CHILDREN += 1 if $pid;
  $SIG{CHLD} = 'DEFAULT';
  $do->($id, @fields);
  exit 0;
}

sub make_fifos {
  my ($id, @paths) = @_;
  my ($HERE, $FIFO) = (-100, 0010600);
  my $made = eval { kernel($_, 'mknodat', $HERE, $_, $FIFO, 0) for @paths; 1 };
  answer(\*STDOUT, $id, $made ? 'made' : "- $@");
}

# The fields of a request that is whole, taken off what is held.
sub next_request {
  my ($held) = @_;
  my ($count) = $$held =~ /^(\d+)\0/ or return;
  my @fields = split /\0/, substr($$held, length($count) + 1), $count + 1;
  return if @fields <= $count;
  $$held = pop @fields;
  return @fields;
}

# Until something is asked, or a child has ended. A signal that comes just before the wait does not end it: so while
# there are children, it is bounded.
sub wait_for_more {
  my ($held, $seconds) = @_;
  my $stdin = '';
  vec($stdin, fileno STDIN, 1) = 1;
  return unless select($stdin, undef, undef, $CHILDREN ? $seconds : undef) > 0;
  exit 0 unless sysread STDIN, $$held, 65536, length $$held;
}

sub bury {
  my $WNOHANG = 1;
  while ((my $pid = waitpid -1, $WNOHANG) > 0) {
    answer(\*STDOUT, 'ended', $pid, $?);
    $CHILDREN -= 1;
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

1;
