# Sourced by the scripts in bin/ and images/: where the checkout is and who the operator is.
# Nothing here starts a process unless a function is called: bin/lazarus must start fast.

set -euo pipefail

ROOT=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd -P)

OPERATOR_USER=lazarus               # the system user that stands in for root
OPERATOR_HOME=/var/lib/lazarus
READABLE_ROOT=/run/lazarus-checkout # where a checkout appears that this user could not read
SYSTEM_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# npm puts node_modules/.bin first for its scripts; that directory belongs to the operator, so root must
# not search it.
if ((UID == 0)) && [[ $PATH == */node_modules/* ]]; then
  kept=
  while IFS= read -rd: directory; do
    [[ $directory == */node_modules/* ]] || kept+=${kept:+:}$directory
  done <<<"$PATH:"
  PATH=$kept
fi

say() { printf '%s\n' "$*" >&2; }
die() {
  say "${0##*/}: $*"
  exit 1
}

hybrid_cgroups() { [[ ! -e /sys/fs/cgroup/cgroup.controllers ]]; }
