# shellcheck shell=bash
# What scripts/demo and scripts/test need on a machine that has only Node, npm, g++, make and git.
# Sourced, not run. Each step says what it does in one line and is quiet about the rest, unless it fails.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# An ordinary user's PATH on Debian has no sbin directory.
export PATH="$PATH:/usr/sbin:/sbin"

# Command, and the Debian package that it comes from.
debian_packages='
  g++        g++
  make       make
  ip         iproute2
  ping       iputils-ping
  curl       curl
  nc         netcat-openbsd
  nft        nftables
  iperf3     iperf3
  iptables   iptables
  ipset      ipset
  conntrack  conntrack
  etcd       etcd-server
  etcdctl    etcd-client
  smcrouted  smcroute
  netplan    netplan.io
  nginx      nginx-light
  traceroute traceroute
  tcpdump    tcpdump
  zsh        zsh
  xxd        xxd
  hexdump    bsdextrautils
  lintian    lintian
  sysctl     procps
  unshare    util-linux
  setpriv    util-linux
  systemd-notify systemd
'

say() { printf '== %s\n' "$*"; }

# step WHAT COMMAND...: says WHAT; shows the command's output only if it fails, and returns its exit code.
step() {
  say "$1"
  local output code=0
  output=$("${@:2}" 2>&1) || code=$?
  [ $code = 0 ] || printf '%s\n%s: failed with exit code %s\n' "$output" "$1" $code >&2
  return $code
}

require_node() {
  local wanted=20.19.0 version
  version=$(node --version 2>/dev/null) || version=none
  if [ "$(printf 'v%s\n%s\n' $wanted "$version" | sort -V | head -n 1)" != v$wanted ]; then
    echo "tunwall needs Node $wanted or newer, found $version: see https://nodejs.org" >&2
    return 1
  fi
}

# Only the fast path needs them.
fast_path='
  clang    clang
  bpftool  bpftool
'

# Only the tests of the panel need it.
browser='chromium chromium'

# missing_commands [TABLE]: those of the table that are not installed, as `command package` lines.
missing_commands() {
  local command package table=${1:-$debian_packages}
  while read -r command package; do
    [ -z "$command" ] || command -v "$command" >/dev/null || echo "$command $package"
  done <<<"$table"
}

# Installs what is missing where that is possible; otherwise says what is, and goes on.
install_debian_packages() {
  local missing packages
  missing=$(missing_commands)
  [ -n "$missing" ] || return 0
  packages=$(awk '{ print $2 }' <<<"$missing" | sort -u | xargs)
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    # A mirror that fails may still leave enough to install from.
    step 'updating the list of Debian packages' apt-get -q update || true
    # shellcheck disable=SC2086
    step "installing $packages" apt-get -qy -o DPkg::Lock::Timeout=300 install --no-install-recommends $packages || true
  fi
  missing=$(missing_commands)
  [ -z "$missing" ] || say "not installed: $(awk '{ print $1 }' <<<"$missing" | xargs) (Debian: apt-get install $packages)"
}

# The same for the browser, which the demonstration does not need.
install_browser() { debian_packages=$browser install_debian_packages; }

# The same for the fast path, without which all else works.
install_fast_path() {
  local table=$fast_path
  [ -e /usr/include/bpf/bpf_core_read.h ] || table="$table  libbpf-headers libbpf-dev"
  # Any version of clang will do.
  ! compgen -c clang- | grep -qE '^clang-[0-9]+$' || table=${table//clang    clang/}
  debian_packages=$table install_debian_packages
}

# npm ci, when it has not been run for this package-lock.json. The marker is written last, so that an
# installation that was interrupted is done again.
install_node_modules() {
  local marker="$root/node_modules/.installed" wanted
  wanted=$(sha256sum "$root/package-lock.json" | cut -d ' ' -f 1)
  [ "$(cat "$marker" 2>/dev/null)" != "$wanted" ] || return 0
  step 'installing npm packages' npm --prefix "$root" ci --no-audit --no-fund --no-progress || return 1
  echo "$wanted" >"$marker"
}

build() {
  step 'building' npm --prefix "$root" run --silent build
}

# Root on a machine without udev may lack the node although the kernel has the driver.
make_tun_node() {
  [ "$(id -u)" = 0 ] && [ ! -e /dev/net/tun ] || return 0
  modprobe tun 2>/dev/null || true
  [ -e /dev/net/tun ] || { mkdir -p /dev/net && mknod -m 0600 /dev/net/tun c 10 200; } 2>/dev/null || true
}

# why_no_namespaces: the reason why tests with network namespaces and TUN devices cannot run here, or nothing.
why_no_namespaces() {
  local missing
  missing=$(missing_commands | awk '{ print $1 }' | xargs)
  if [ "$(id -u)" != 0 ]; then
    echo 'they need root'
  elif [ -n "$missing" ]; then
    echo "these commands are missing: $missing"
  elif [ ! -c /dev/net/tun ]; then
    echo '/dev/net/tun is missing'
  elif ! unshare --net true 2>/dev/null; then
    echo 'this machine does not allow network namespaces'
  elif ! unshare --net ip tuntap add dev probe mode tun multi_queue vnet_hdr 2>/dev/null; then
    echo 'this machine does not allow TUN devices'
  fi
}

# why_no_browser: the reason why the tests of the panel cannot run here, or nothing.
why_no_browser() {
  local reason
  reason=$(why_no_namespaces)
  if [ -n "$reason" ]; then
    echo "$reason"
  elif [ -n "$(missing_commands "$browser")" ]; then
    echo 'chromium is missing'
  fi
}
