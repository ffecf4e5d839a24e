#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The checkout in Debian 13, where QUIC's TLS is OpenSSL's: builds it with -Dquic_tls=ossl and =gnutls, each with every
# warning an error, and runs the unit tests: all of them with OpenSSL, those of QUIC with GnuTLS. Prints TAP; the exit
# code is 0 when nothing failed (also when it cannot run here: "1..0 # SKIP why").
#
# Needs root (chroot and mounts, in a mount namespace of its own), debootstrap and, the first time, the network: the root
# is kept in $TL_TRIXIE_ROOT (by default twinlatch-trixie below $XDG_CACHE_HOME, ~/.cache or /var/tmp), with the build
# folders and a ccache in it. Delete it to start anew.
#   tests/trixie.sh                  everything
#   tests/trixie.sh WORD             unit tests whose name contains WORD
set -u
source=$(cd "$(dirname "$0")/.." && pwd)
mirror=${TL_TRIXIE_MIRROR:-http://deb.debian.org/debian}
suite=trixie
backports=(libngtcp2-dev libngtcp2-crypto-gnutls-dev libngtcp2-crypto-ossl-dev)
number=0
failed=0

# result CODE NAME [FILE]: one line of TAP; of what failed, the end of its output.
result ()
{
  number=$((number + 1))
  if [ "$1" -eq 0 ]; then
    echo "ok $number - $2"
    return 0
  fi
  failed=$((failed + 1))
  echo "not ok $number - $2"
  [ -z "${3:-}" ] || tail -n 60 "$3" | sed 's/^/# /'
  return 1
}

finish ()
{
  echo "1..$number"
  [ "$failed" -eq 0 ] && exit 0
  exit 1
}

# ---- inside the root

install_packages ()
{
  . /source/data/install-packages.sh
  echo "deb $mirror $suite-backports main" >/etc/apt/sources.list.d/$suite-backports.list
  tl_install_packages /source/data/packages.txt build || return 1
  local package state
  for package in "${backports[@]}"; do
    state=$(dpkg-query -W -f '${Version}' "$package" 2>/dev/null)
    case $state in
      *~bpo*) ;;
      *) apt-get update -q && apt-get install -q -y --no-install-recommends -t $suite-backports "${backports[@]}" ccache python3 openssl
         return ;;
    esac
  done
}

# meson's own lines of results, as TAP
unit_tests ()
{
  local folder=$1 name=$2 word=$3 log=$1/tests.log line test outcome
  local -a tests
  mapfile -t tests < <(meson test -C "$folder" --no-rebuild --list 2>/dev/null | sed -n 's/^twinlatch \/ //p;s/^unit\//unit\//p' | grep -F -- "$word" | sort -u)
  if [ ${#tests[@]} -eq 0 ]; then
    result 1 "$name: a unit test whose name contains '$word'"
    return
  fi
  meson test -C "$folder" --no-rebuild --num-processes "$jobs" --timeout-multiplier 3 --print-errorlogs "${tests[@]}" >"$log" 2>&1 </dev/null
  for test in "${tests[@]}"; do
    line=$(grep -E "^ *[0-9]+/[0-9]+ (twinlatch:)?$test +[A-Z]" "$log" | head -n 1)
    outcome=$(echo "$line" | sed -E "s|^ *[0-9]+/[0-9]+ [^ ]+ +([A-Z]+).*|\1|")
    case $outcome in
      OK) result 0 "$name: $test" ;;
      SKIP) number=$((number + 1)); echo "ok $number - $name: $test # SKIP skipped itself" ;;
      *) result 1 "$name: $test (${outcome:-did not run})"
         awk -v test="$test" '$2 == test { shown = 1 } /^Summary of Failures/ || ($1 ~ /^[0-9]+\/[0-9]+$/ && $2 != test) { shown = 0 } shown' \
           "$log" | tail -n 40 | cut -c1-400 | sed 's/^/# /' ;;
    esac
  done
}

check_backend ()
{
  local backend=$1 word=$2 folder=/build/$1 log=/build/$1.log
  local -a again=()
  [ -e "$folder/build.ninja" ] && again=(--reconfigure)
  meson setup "${again[@]}" "$folder" /source -Dwerror=true "-Dquic_tls=$backend" >"$log" 2>&1 </dev/null
  result $? "$backend: configures" "$log" || return
  ninja -C "$folder" -j "$jobs" >"$log" 2>&1 </dev/null
  result $? "$backend: builds without a warning" "$log" || return
  unit_tests "$folder" "$backend" "$word"
}

inside ()
{
  export LANG=C.UTF-8 HOME=/root PATH=/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin CCACHE_DIR=/build/ccache
  export DEBIAN_FRONTEND=noninteractive PYTHONDONTWRITEBYTECODE=1
  unset XDG_CACHE_HOME XDG_CONFIG_HOME XDG_RUNTIME_DIR XDG_STATE_HOME XDG_DATA_HOME TMPDIR
  jobs=$(nproc)
  cd / || exit 1
  mkdir -p /build
  # Another checkout's files may be older than what was built of this one: ninja would build nothing. ccache makes it quick.
  if [ "$(cat /build/checkout 2>/dev/null)" != "$2" ]; then
    rm -rf /build/ossl /build/gnutls
    echo "$2" >/build/checkout
  fi
  install_packages >/build/packages.log 2>&1
  result $? "packages of Debian 13, ngtcp2 of $suite-backports" /build/packages.log || finish
  echo "# ngtcp2 $(dpkg-query -W -f '${Version}' libngtcp2-dev), OpenSSL $(dpkg-query -W -f '${Version}' libssl-dev)," \
    "GnuTLS $(dpkg-query -W -f '${Version}' libgnutls28-dev), gcc $(gcc -dumpfullversion)"
  check_backend ossl "$1"
  check_backend gnutls "${1:-unit/quic/}"
  finish
}

# ---- outside

skip ()
{
  echo "1..0 # SKIP $1"
  exit 0
}

make_root ()
{
  local root=$1
  [ -e "$root/etc/debian_version" ] && return 0
  command -v debootstrap >/dev/null || skip "debootstrap is not installed"
  mkdir -p "$(dirname "$root")" || return 1
  rm -rf "$root.new"
  if ! debootstrap --variant=minbase "$suite" "$root.new" "$mirror" >"$root.log" 2>&1; then
    rm -rf "$root.new"
    skip "no Debian 13 to be had from $mirror: $(tail -n 1 "$root.log")"
  fi
  mv "$root.new" "$root"
}

# In a mount namespace of its own: whatever happens, nothing stays mounted.
enter ()
{
  local root=$1
  shift
  mkdir -p "$root/source" || return 1
  exec unshare --mount --pid --fork --kill-child bash -c '
    set -e
    root=$1 source=$2
    shift 2
    mount --make-rprivate /
    mount --bind "$source" "$root/source"
    mount -o remount,ro,bind "$root/source"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    mount -t tmpfs tmpfs "$root/tmp"
    mount -t tmpfs tmpfs "$root/run"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    exec chroot "$root" /bin/bash /source/tests/trixie.sh --inside "$@"' bash "$root" "$source" "$@"
}

case ${1:-} in
  --inside) inside "$2" "$3" ;;
  --help | -h) sed -n '3,/^set -u/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
  -*) echo "trixie.sh: unknown option '$1' (see --help)" >&2; exit 2 ;;
esac

[ "$(id -u)" -eq 0 ] || skip "needs root: a chroot and mounts"
unshare --mount --pid --fork true 2>/dev/null || skip "no mount namespace can be made here"
base=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
root=${TL_TRIXIE_ROOT:-${base:-/var/tmp}/twinlatch-trixie}
mkdir -p "$(dirname "$root")" || skip "cannot write $(dirname "$root")"
exec 9>"$root.lock"
flock -n 9 || skip "another run uses $root"
make_root "$root" || exit 1
enter "$root" "${1:-}" "$source"
