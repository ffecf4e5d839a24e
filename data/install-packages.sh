# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by quickstart.sh and tests/run.sh: installs the Debian packages that are missing, and only those.

# Prints the rows of the given sections of packages.txt: a package, or "package minimum-version suite".
tl_list_packages ()
{
  local list="$1" section
  shift
  for section in "$@"; do
    sed -n "/^\[$section\]/,/^\[/{/^\[/d;/^#/d;/^[[:space:]]*$/d;p}" "$list"
  done
}

tl_apt ()
{
  tl_as_root env DEBIAN_FRONTEND=noninteractive apt-get "$@"
}

# tl_package_is_there PACKAGE [MINIMUM]
tl_package_is_there ()
{
  local state
  state=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$1" 2>/dev/null) || return 1
  [ "${state%% *}" = installed ] && { [ -z "${2:-}" ] || dpkg --compare-versions "${state#* }" ge "$2"; }
}

# tl_candidate_is_enough PACKAGE MINIMUM: what apt would install without being told a suite.
tl_candidate_is_enough ()
{
  local candidate
  candidate=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p')
  [ -n "$candidate" ] && [ "$candidate" != '(none)' ] && dpkg --compare-versions "$candidate" ge "$2"
}

# tl_add_suite SUITE: makes apt know a suite of Debian (backports). What it offers is installed only when asked for by name.
tl_add_suite ()
{
  local file="/etc/apt/sources.list.d/$1.list"
  { [ -e "$file" ] || apt-cache policy 2>/dev/null | grep -q "n=$1,"; } && return 0
  echo "packages: adding $1 to apt ($file)"
  echo "deb http://deb.debian.org/debian $1 main" | tl_as_root tee "$file" >/dev/null
}

tl_as_root ()
{
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo -- "$@"
  else
    return 126
  fi
}

# tl_install_packages LIST SECTION...: says what it does; nothing is done (not even an update) when all are there.
tl_install_packages ()
{
  local list="$1" row log="${TMPDIR:-/tmp}/twinlatch-apt.$$" package minimum suite result=0
  local -a missing=() later=()

  if ! command -v apt-get >/dev/null 2>&1; then
    echo "packages: this is not Debian; make sure that what $list names is there" >&2
    return 0
  fi
  while read -r package minimum suite; do
    tl_package_is_there "$package" "$minimum" || missing+=("$package $minimum $suite")
  done < <(tl_list_packages "$@")
  if [ ${#missing[@]} -eq 0 ]; then
    echo "packages: everything needed is installed"
    return 0
  fi

  echo "packages: installing with apt-get:" "${missing[@]%% *}"
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
    echo "packages: needs root: run this as root, install sudo, or run: apt-get install" "${missing[@]%% *}" >&2
    return 1
  fi
  tl_apt update -q >"$log" 2>&1 || result=$?
  # What the distribution has in a version too old comes from the suite that the list names.
  for row in "${missing[@]}"; do
    read -r package minimum suite <<<"$row"
    if [ -z "$minimum" ] || tl_candidate_is_enough "$package" "$minimum"; then
      later+=("$package")
    elif [ $result -eq 0 ]; then
      tl_add_suite "$suite" && later+=("$package/$suite")
    fi
  done
  case " ${later[*]} " in
    */*) tl_apt update -q >>"$log" 2>&1 || result=$? ;;
  esac
  [ $result -ne 0 ] || tl_apt install -q -y --no-install-recommends "${later[@]}" >>"$log" 2>&1 </dev/null || result=$?
  if [ $result -ne 0 ]; then
    tail -n 30 "$log" >&2
    echo "packages: apt-get failed (above)" >&2
  fi
  rm -f "$log"
  return $result
}
