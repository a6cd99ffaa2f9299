# Sourced by the build scripts of the images: a root file system of the host's own release, from the
# distribution's packages. No container registry, no root. The suite and the mirrors are the host's.

. /etc/os-release

# The host's mirrors of its own suite, without what was added to the machine from elsewhere.
sources() {
  local keyring=/usr/share/keyrings/$ID-archive-keyring.gpg
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' | sort -u |
    while read -r uri release component; do
      case "$release $component" in
        "$VERSION_CODENAME main" | "$VERSION_CODENAME-updates main" | "$VERSION_CODENAME-security main")
          echo "deb ${signed_by:=$([[ -e $keyring ]] && echo "[signed-by=$keyring] ")}$uri $release $component" ;;
      esac
    done
}

# A proxy that the host's apt needs, mmdebstrap's apt needs as well.
proxy_options() {
  local http='' https=''
  eval "$(apt-config shell http Acquire::http::Proxy https Acquire::https::Proxy)"
  if [[ -n $http ]]; then echo "--aptopt=Acquire::http::Proxy \"$http\""; fi
  if [[ -n $https ]]; then echo "--aptopt=Acquire::https::Proxy \"$https\""; fi
}

# root_file_system TAR PACKAGES [OPTION…]: PACKAGES is a file, the options are mmdebstrap's, for hooks.
root_file_system() {
  local tar=$1 packages=$2 mirrors options
  shift 2
  mirrors=$(sources)
  mapfile -t options < <(proxy_options)
  printf '%s\n' "$mirrors" | HOME=/nonexistent mmdebstrap --mode=unshare --variant=minbase --format=tar --quiet \
    --include="$(paste -sd, "$packages")" "${options[@]}" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' "$@" \
    --customize-hook='rm -rf "$1"/var/cache/* "$1"/var/log/* "$1"/var/lib/apt/lists/*' \
    "$VERSION_CODENAME" "$tar" - >&2
}
