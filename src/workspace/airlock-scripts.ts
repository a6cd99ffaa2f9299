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
