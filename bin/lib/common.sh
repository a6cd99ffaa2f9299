# Sourced by the scripts in bin/ and images/: where the checkout is and who the operator is.
# Nothing here starts a process unless a function is called: bin/lazarus must start fast.

set -euo pipefail

ROOT=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd -P)

OPERATOR_USER=lazarus               # the system user that stands in for root
OPERATOR_HOME=/var/lib/lazarus
READABLE_ROOT=/run/lazarus-checkout # where a checkout appears that this user could not read
SYSTEM_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

say() { printf '%s\n' "$*" >&2; }
die() {
  say "${0##*/}: $*"
  exit 1
}

hybrid_cgroups() { [[ ! -e /sys/fs/cgroup/cgroup.controllers ]]; }
