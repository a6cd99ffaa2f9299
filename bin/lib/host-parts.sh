# The parts of bin/setup that belong to the machine. Each part has three functions: X_missing prints what is
# missing, X_present what is there, X_do puts it right. They look at the machine and keep no state of their own.

if ((UID == 0)); then OPERATOR=$OPERATOR_USER; else OPERATOR=$(id -un); fi

as_root() {
  if ((UID == 0)); then "$@"; else
    say "setup: with sudo: $*"
    sudo "$@"
  fi
}

# As the operator, through the same door as everything else.
as_operator() { "$ROOT/bin/as-operator" "$@"; }

operator_home() { getent passwd "$OPERATOR" | cut -d: -f6; }

# ---- packages: recognised by a command or file of theirs, which is quicker than asking dpkg

wanted_packages() { # lines "package probe"
  printf '%s\n' \
    'bubblewrap bwrap' 'podman podman' 'crun crun' 'uidmap newuidmap' 'catatonit catatonit' \
    'mmdebstrap mmdebstrap' 'util-linux setpriv' 'perl-base perl' 'mount mount' 'iproute2 ip' 'netavark netavark' \
    'git git' 'tar tar' 'zstd zstd' 'curl curl' 'ca-certificates update-ca-certificates'
  # Podman 4 talks to the network through slirp4netns, Podman 5 through pasta.
  case $(. /etc/os-release && echo "$ID-${VERSION_ID:-}") in
    debian-12 | ubuntu-2[234].*) echo 'slirp4netns slirp4netns' ;;
    *) echo 'passt pasta' ;;
  esac
  # A session bus is how Podman asks systemd for cgroups.
  if [[ -d /run/systemd/system ]]; then echo 'dbus-user-session /usr/share/doc/dbus-user-session'; fi
  local extra
  for extra in "${extras[@]}"; do
    case $extra in
      bench) printf '%s\n' 'ripgrep rg' 'socat socat' 'restic restic' ;; # two that sandbox-runtime needs, and a peer
      vm) printf '%s\n' 'qemu-system-x86 qemu-system-x86_64' 'e2fsprogs mke2fs' 'openssh-client ssh' ;;
    esac
  done
}

present() { # probe: a command, also in the places that an ordinary PATH leaves out
  local directory
  if [[ $1 == /* ]]; then [[ -e $1 ]] && return; fi
  for directory in /usr/bin /usr/sbin /bin /sbin /usr/local/bin /usr/lib/podman /usr/libexec/podman; do
    if [[ -e $directory/$1 ]]; then return; fi
  done
  return 1
}

packages_missing() {
  local package probe
  while read -r package probe; do present "$probe" || echo "$package"; done < <(wanted_packages)
}
packages_present() { echo "bubblewrap, podman, crun, uidmap and the others"; }
packages_do() {
  local names
  mapfile -t names <<<"$1"
  command -v apt-get >/dev/null || die "this is not a Debian or Ubuntu machine; install by hand: ${names[*]}"
  say "setup: installs with apt-get: ${names[*]}"
  as_root apt-get update -q >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${names[@]}" >&2
}

# ---- operator: the user, subordinate ids that overlap nobody's, the runtime directory

subordinate() { # /etc/subuid or /etc/subgid: does the operator have a whole range?
  awk -F: -v u="$OPERATOR" -v i="$UID" '($1 == u || ($1 == i && i > 0)) && $3 >= 65536 { f = 1 } END { exit !f }' "$1" 2>/dev/null
}

operator_missing() {
  if ! getent passwd "$OPERATOR" >/dev/null; then
    echo "system user $OPERATOR with home $OPERATOR_HOME and 65536 subordinate ids" && return
  fi
  subordinate /etc/subuid || echo "65536 subordinate uids of $OPERATOR"
  subordinate /etc/subgid || echo "65536 subordinate gids of $OPERATOR"
  if [[ $OPERATOR == "$OPERATOR_USER" && -d /run/systemd/system && ! -e /var/lib/systemd/linger/$OPERATOR ]]; then
    echo "a systemd user manager for $OPERATOR (linger)"
  fi
}
operator_present() { echo "$OPERATOR"; }

# First id above every range and every user, on both lists, so that one range serves for uids and gids.
free_range() {
  {
    cat /etc/subuid /etc/subgid 2>/dev/null | awk -F: 'NF == 3 { print $2 + $3 }'
    getent passwd | awk -F: '$3 < 2^31 { print $3 + 1 }'
    getent group | awk -F: '$3 < 2^31 { print $3 + 1 }'
    echo 100000
  } | sort -n | tail -1
}

operator_do() {
  if ! getent passwd "$OPERATOR" >/dev/null; then
    as_root useradd --system --user-group --create-home --home-dir "$OPERATOR_HOME" --shell /bin/bash \
      --comment 'Lazarus Pit operator' "$OPERATOR"
    chmod 0750 "$OPERATOR_HOME"
  fi
  local first last
  first=$(free_range) last=$((first + 65535))
  subordinate /etc/subuid || as_root usermod --add-subuids "$first-$last" "$OPERATOR"
  subordinate /etc/subgid || as_root usermod --add-subgids "$first-$last" "$OPERATOR"
  if [[ $OPERATOR == "$OPERATOR_USER" && -d /run/systemd/system ]]; then start_user_manager; fi
}

# With it come /run/user/UID and delegated cgroups; bin/as-operator needs its socket.
start_user_manager() {
  local socket
  socket=/run/user/$(id -u "$OPERATOR")/systemd/private
  loginctl enable-linger "$OPERATOR"
  for _ in {1..100}; do
    if [[ -S $socket ]]; then return; fi
    sleep 0.1
  done
  say "setup: the user manager of $OPERATOR did not start within 10 s; cgroup limits will not be available"
}

# ---- devices: 0600 where no udev ran; everybody may open them on an ordinary machine

closed_devices() {
  local device
  for device in /dev/fuse /dev/net/tun; do
    if [[ -e $device && $(stat -c %a "$device") == 600 ]]; then echo "$device"; fi
  done
}
devices_missing() { local d && for d in $(closed_devices); do echo "$d is closed to ordinary users"; done; }
devices_present() { echo "/dev/fuse and /dev/net/tun are as on an ordinary machine"; }
devices_do() { for device in $(closed_devices); do as_root chmod 0666 "$device"; done; }

# ---- storage: without a word in storage.conf Podman's first start may choose vfs, which copies every layer

storage_missing() {
  local home
  home=$(operator_home)
  if [[ -n $home && -e $home/.config/containers/storage.conf ]]; then return; fi
  if [[ -e /etc/containers/storage.conf ]]; then return; fi
  echo "storage.conf of $OPERATOR with the overlay driver"
}
storage_present() { echo "overlay, unless storage.conf says otherwise"; }
storage_do() {
  as_operator bash -c 'mkdir -p "$HOME/.config/containers" &&
    printf "[storage]\ndriver = \"overlay\"\n" > "$HOME/.config/containers/storage.conf"'
}
