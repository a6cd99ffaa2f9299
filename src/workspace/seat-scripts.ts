/** What runs in the airlock over the directory of a seat, mounted at /seat; as in `airlock-scripts.ts`, without git. */
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

/** A tar of ours on stdin; the parts that are not wanted, as options. */
export const EXTRACT_SEAT = `${SEAT}
exec tar --extract --file=- --preserve-permissions --no-same-owner --delay-directory-restore --xattrs --xattrs-include='user.*' --anchored "$@"
`

/** All that is written on this file system is on the disk when this ends well. */
export const SYNC_SEAT = `${SEAT}
exec sync -f .
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
