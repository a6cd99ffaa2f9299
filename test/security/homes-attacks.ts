import { type Attack, perl } from './attack.ts'

/**
 * $TARGET is a directory of the host that must not be reached, with a file "secret"; $PLACES are directories that the
 * attacker may write, $READONLY those that it sees read-only, $OUTSIDER is a process of the host with a mount namespace
 * of its own. A careless process of the host has $TARGET as its directory and its secret open.
 */
const onHost = (name: string, script: string): Attack => ({ name, control: 'host', script })
const capable = (name: string, script: string): Attack => ({ name, control: 'capable', script })

/** open_tree(2) with OPEN_TREE_CLONE takes a mount without what lies on it; the number is the same everywhere. */
const OPEN_TREE = perl(`
  my ($parent, $name) = $ENV{TARGET} =~ m{^(.*)/([^/]+)$};
  my $fd = syscall(428, -100, $parent, 1 | 02000000);
  exit 1 if $fd < 0;
  open(my $secret, "<", "/proc/self/fd/$fd/$name/secret") or exit 1;
  exit(<$secret> =~ /canary-/ ? 0 : 1);`)

/** Out of a chroot: a second one deeper, while the working directory stays above it. */
const CHROOT = perl(`
  for my $place (split / /, "$ENV{PLACES} /tmp /dev/shm") {
    my $deep = "$place/deep"; mkdir $deep; chdir $place or next; chroot $deep or next;
    chdir ".." for 1..64; chroot "."; open(my $secret, "<", "$ENV{TARGET}/secret") or next;
    exit 0 if <$secret> =~ /canary-/;
  }
  exit 1;`)

export const READING: readonly Attack[] = [
  onHost('read', 'cat "$TARGET/secret" | saw'),
  onHost('list', 'ls -A "$TARGET" | grep -q secret'),
  onHost('read_by_symlink', 'for p in $PLACES; do ln -s "$TARGET" "$p/door"; cat "$p/door/secret"; done | saw'),
  onHost('read_by_hard_link', 'for p in $PLACES; do ln "$TARGET/secret" "$p/hard"; cat "$p/hard"; done | saw'),
  onHost('read_by_dotdot', 'for p in $PLACES; do cat "$p/../../../../../../../../..$TARGET/secret"; done | saw'),
  onHost('read_by_proc_root', 'for p in /proc/[0-9]* /proc/[0-9]*/task/*; do cat "$p/root$TARGET/secret"; done | saw'),
  onHost('read_by_proc_cwd', 'for p in /proc/[0-9]*; do cat "$p/cwd/secret"; done | saw'),
  onHost(
    'read_by_proc_fd',
    'for f in /proc/[0-9]*/fd/*; do [ -p "$f" ] || [ -c "$f" ] || head -c 4096 "$f"; done | saw',
  ),
  onHost(
    'read_nested',
    'unshare --user --map-root-user --mount sh -c \'umount -l "$TARGET"; cat "$TARGET/secret"\' | saw',
  ),
  onHost(
    'read_by_setns',
    'for p in "$OUTSIDER" 1; do nsenter --target "$p" --user --mount --preserve-credentials cat "$TARGET/secret"; done | saw',
  ),
  capable('read_by_umount', 'umount -l "$TARGET"; umount -l "${TARGET%/*}"; umount -l /; cat "$TARGET/secret" | saw'),
  capable(
    'read_by_bind',
    'mkdir -p "$SCRATCH/b"; mount --bind "${TARGET%/*}" "$SCRATCH/b"; cat "$SCRATCH/b/${TARGET##*/}/secret" | saw',
  ),
  capable('read_by_open_tree', OPEN_TREE),
  { name: 'read_by_chroot', control: 'chrooted', script: CHROOT },
  {
    name: 'read_by_old_root',
    control: 'undetached',
    script: 'for r in /.old /oldroot /old_root /.pivot_root* /newroot; do cat "$r$TARGET/secret"; done | saw',
  },
]

export const WRITING: readonly Attack[] = [
  capable(
    'remount',
    'for d in $READONLY; do mount -o remount,rw,bind "$d" && touch "$d/planted" && exit 0; done; exit 1',
  ),
  onHost('write', 'echo x >"$TARGET/planted"'),
  onHost(
    'write_by_symlink',
    'for p in $PLACES; do ln -s "$TARGET" "$p/way"; echo x >"$p/way/planted-too" && exit 0; done; exit 1',
  ),
  onHost('append', 'echo x >>"$TARGET/secret"'),
  onHost('change_mode', 'chmod 0777 "$TARGET/secret"'),
  onHost('change_times', 'touch -d @0 "$TARGET/secret"'),
  onHost('rename', 'mv "$TARGET/secret" "$TARGET/moved" && mv "$TARGET/moved" "$TARGET/secret"'),
  onHost('remove', 'rm -r "$TARGET/project"'),
]

const KNOWN_NODES = 'console|core|full|null|ptmx|pts/.*|random|tty|urandom|zero'

/** What may stand open beside the homes. */
export const NODES: Attack = onHost(
  'device_nodes',
  `find /dev -type b -o -type c | grep -vE '^/dev/(${KNOWN_NODES})$' | grep -q .`,
)
