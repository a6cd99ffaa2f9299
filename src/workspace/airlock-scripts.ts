/**
 * What runs inside the airlock. Fixed texts: input comes as positional arguments or on stdin, answers leave on
 * stdout, reasons on stderr. Whatever a hostile repository makes git do happens in here: no network, no host
 * files, bounded time, memory and scratch space.
 */

/** More FIFOs than this in one layer is not work, and each costs a mount. */
const MOST_FIFOS = 512

/**
 * First inside: $1 where to look for FIFOs ('' nowhere), $2 where that tree is mounted, $3 KiB of address space,
 * $4 drop or keep capabilities, $5 the script, then its arguments. A FIFO named .gitignore would make git wait for
 * a writer for ever; /dev/null over it is an empty file. Without capabilities the mounts are locked, also for user
 * namespaces nested in this one.
 */
export const ENTER = `
look=$1 mounted=$2 kilobytes=$3 caps=$4 script=$5
shift 5
if [ -n "$look" ]; then find "$look" -xdev -type p -printf '%P\\0' >/scratch/fifos; fi
if [ -s /scratch/fifos ]; then
  count=$(tr -cd '\\0' </scratch/fifos | wc -c)
  if [ "$count" -gt ${MOST_FIFOS} ]; then echo "fatal: the worktree holds $count FIFOs" >&2; exit 1; fi
  xargs -0 -r -I '{}' mount --no-mtab --bind /dev/null "$mounted/{}" </scratch/fifos || exit 1
fi
ulimit -v "$kilobytes"
if [ "$caps" = keep ]; then eval "$script"; exit; fi
exec setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all --no-new-privs /bin/sh -c "$script" airlock "$@"
`

/** $1 git directory, $2 a commit that the operator asked for by id, or empty. Answers lines of "<word> <value>". */
export const LIST_SOURCE = `
set -eu
git --git-dir="$1" rev-parse --git-dir >/dev/null
echo "format $(git --git-dir="$1" rev-parse --show-object-format)"
if head=$(git --git-dir="$1" rev-parse -q --verify 'HEAD^{commit}'); then echo "head $head"; fi
if [ -n "$2" ] && asked=$(git --git-dir="$1" rev-parse -q --verify --end-of-options "$2^{commit}"); then echo "asked $asked"; fi
shallow=$(git --git-dir="$1" rev-parse --git-path shallow)
if [ -f "$shallow" ]; then sed 's/^/shallow /' "$shallow"; fi
git --git-dir="$1" for-each-ref --format='ref %(objectname) %(refname)' refs/heads refs/tags
`

/** $1 git directory; stdin: the wanted objects, then "--not" and the known ones. Answers a pack. */
export const PACK_SOURCE = `
exec git --git-dir="$1" pack-objects --revs --thin --stdout --delta-base-offset -q
`

const WORKTREE = `
set -eu
export GIT_DIR=/workspace/.git GIT_WORK_TREE=/workspace
cd /workspace
`

/**
 * $1 branch. Whether an upper layer holds nothing but what we seeded: then there is no work, and git need not look.
 * Names are compared whole; what a glob finds nothing for is its own text.
 */
const IS_IDLE = `
git=/upper/.git
[ -d "$git" ] || return 1
for path in /upper/* /upper/.[!.]* /upper/..?* "$git"/* "$git"/.[!.]* "$git"/..?* "$git/refs"/* "$git/refs/heads"/* "$git/refs/heads/mission"/*; do
  case $path in
    "$git" | "$git/HEAD" | "$git/config" | "$git/refs" | "$git/refs/heads" | "$git/refs/heads/mission" | "$git/refs/heads/$1") ;;
    *) if [ -e "$path" ] || [ -L "$path" ]; then return 1; fi ;;
  esac
done
`

/**
 * $1 branch. The tip is the seat's branch, or HEAD where the branch is its ancestor: an agent that went on elsewhere
 * loses nothing. Of each process that is saved here a collection is a millisecond quicker.
 */
const FACTS = `${WORKTREE}
is_idle() {${IS_IDLE}}
if is_idle "$1" && read -r tip <".git/refs/heads/$1"; then
  idle=yes head=$tip
  : >/scratch/status
else
  idle=
  printf '%s\\n' "refs/heads/$1^{commit}" 'HEAD^{commit}' | git cat-file --batch-check='%(objectname)' >/scratch/ids
  { read -r tip missing && [ -z "$missing" ] || tip=; read -r head missing && [ -z "$missing" ] || head=; } </scratch/ids
  if [ -z "$tip" ]; then tip=$head
  elif [ -n "$head" ] && [ "$head" != "$tip" ] && git merge-base --is-ancestor "$tip" "$head"; then tip=$head; fi
  git status --porcelain=v1 -z --untracked-files=normal --no-renames >/scratch/status
fi
shift
`

/** At most 1,000 entries of git status, each ended by NUL, and one that is empty. */
const ENTRIES = "head -z -n 1000 /scratch/status; printf '\\0'"

/** stdin: "^<id>" of everything that is kept elsewhere. Answers how many commits any ref or HEAD adds, a newline, entries. */
export const COUNT_WORK = `${FACTS}
if [ -n "$idle" ]; then echo 0; else git rev-list --count --ignore-missing --all $head --stdin; fi
${ENTRIES}
`

const PACK_TIP = `
{
  echo "$tip"
  for id in "$@"; do if git cat-file -e "$id" 2>/dev/null; then echo "^$id"; fi; done
} >/scratch/revs
exec git pack-objects --revs --thin --stdout --delta-base-offset -q </scratch/revs
`

/**
 * After the branch: ids that the receiver has. Answers "<tip or nothing>", a newline, entries, and, for a tip
 * that the receiver lacks, a pack.
 */
export const PACK_WORK = `${FACTS}
echo "$tip"
${ENTRIES}
for id in '' "$@"; do if [ "$id" = "$tip" ]; then exit 0; fi; done
${PACK_TIP}`

/** $1 base commit or empty. Answers the id of a commit that holds the worktree as it is, a newline, and a pack. */
export const PACK_WORKTREE = `${WORKTREE}
index=$(git rev-parse --git-path index)
export GIT_OBJECT_DIRECTORY=/scratch/objects GIT_ALTERNATE_OBJECT_DIRECTORIES="$(git rev-parse --git-path objects)"
export GIT_INDEX_FILE=/scratch/index
mkdir /scratch/objects
if [ -f "$index" ]; then cp -p "$index" "$GIT_INDEX_FILE"; elif [ -n "$1" ]; then git read-tree "$1"; fi
git add --all --ignore-errors . || :
tip=$(git commit-tree \${1:+-p "$1"} -m worktree "$(git write-tree)")
echo "$tip"
${PACK_TIP}`

const SEAT = `
set -eu
cd /seat
`

/** Follows: the parts. What changes or goes while it is read (exit code 1) is an agent's right. */
const TAR_PARTS = `tar --create --file=- --format=posix --sparse --xattrs --xattrs-include='user.*' \
  --numeric-owner --mode=ug-s --one-file-system --`

/**
 * $1 most entries, $2 the parts below /seat to archive (words of ours), then paths that we wrote there ourselves.
 * Answers a tar. Exit code 7: too many entries; 8: there is nothing but what is ours, by any name of any bytes.
 */
export const TAR_SEAT = `${SEAT}
most=$1 parts=$2
shift 2
printf '%s\\n' "$@" >/scratch/ours
if find $parts -mindepth 1 -print0 |
  LC_ALL=C grep --null-data --text --invert-match --line-regexp --fixed-strings --quiet --file=/scratch/ours; then :
elif [ $? = 1 ]; then exit 8; fi
entries=$(find $parts -printf . | head -c "$((most + 1))" | wc -c)
if [ "$entries" -gt "$most" ]; then exit 7; fi
${TAR_PARTS} $parts || [ $? = 1 ]
`

/**
 * The parts below /seat to archive. Answers what they hold, "<facts>" NUL "<path>" NUL each, and an empty one; the
 * first artifacts, "<bytes> <path>" NUL each, and an empty one; then a tar of the parts, for who still listens. Exit
 * code 1: something changed meanwhile. A directory is its mode, its time and its entries: its ctime moves when an
 * overlay is only read.
 */
export const ARCHIVE_SEAT = `${SEAT}
find "$@" -xdev -type d -printf 'd %m %T@\\0%p\\0' -o -printf '%y %m %s %T@ %C@ %l\\0%p\\0' || :
printf '\\0'
for entry in /artifacts/* /artifacts/.[!.]* /artifacts/..?*; do
  if [ -e "$entry" ] || [ -L "$entry" ]; then find /artifacts -type f -printf '%s %P\\0' | head -z -n 1000; break; fi
done
printf '\\0'
exec ${TAR_PARTS} "$@"
`

/**
 * A tar of ours on stdin; the parts that are not wanted, as options. All of it is on the disk when this ends well.
 */
export const EXTRACT_SEAT = `${SEAT}
tar --extract --file=- --preserve-permissions --no-same-owner --delay-directory-restore --xattrs --xattrs-include='user.*' --anchored "$@"
exec sync -f home
`

/**
 * $1 agent, $2 mission, $3 the agent whose worktree it was. HEAD, wherever it is, becomes the agent's own branch; what
 * else there was stays on the refs that it is on.
 */
export const GIVE_WORKTREE = `${WORKTREE}
own=refs/heads/mission/$1 former=refs/heads/mission/$3
head=$(git rev-parse -q --verify 'HEAD^{commit}') || head=
if [ -n "$head" ]; then git update-ref "$own" "$head"; fi
git symbolic-ref HEAD "$own"
if [ "$1" != "$3" ] && [ -n "$head" ] && [ "$(git rev-parse -q --verify "$former^{commit}")" = "$head" ]; then
  git update-ref -d "$former" "$head"
fi
git config --replace-all user.name "$1"
git config --replace-all user.email "$1@$2.lazarus.invalid"
`

/** Paths below /seat. Answers those that are files of nothing, or of zeros: what a power loss leaves of a file. */
export const FIND_TORN = `${SEAT}
for path in "$@"; do
  if [ -f "$path" ] && [ -z "$(tr -d '\\0\\n' <"$path" | head -c 1)" ]; then echo "$path"; fi
done
`

/** Names below /seat. Answers "<bytes> <entries>". Files that vanish meanwhile count for nothing. */
export const MEASURE_SEAT = `${SEAT}
bytes=$(du --summarize --total --block-size=1 -- "$@" | tail -n 1 | cut -f 1)
entries=$(du --summarize --total --inodes -- "$@" | tail -n 1 | cut -f 1)
echo "$bytes $entries"
`

/** Deletes everything below /seat, of any mode and depth. */
export const EMPTY_SEAT = `${SEAT}
find . -mindepth 1 -maxdepth 1 -exec rm -rf -- '{}' +
`
