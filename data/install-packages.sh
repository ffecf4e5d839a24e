# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by quickstart.sh and tests/run.sh: installs the Debian packages that are missing, and only those.

# Prints the packages of the given sections of packages.txt, one a line.
tl_list_packages ()
{
  local list="$1" section
  shift
  for section in "$@"; do
    sed -n "/^\[$section\]/,/^\[/{/^\[/d;/^#/d;/^[[:space:]]*$/d;p}" "$list"
  done
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
  local list="$1" package
  local -a missing=()

  if ! command -v apt-get >/dev/null 2>&1; then
    echo "packages: this is not Debian; make sure that what $list names is there" >&2
    return 0
  fi
  while read -r package; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done < <(tl_list_packages "$@")
  if [ ${#missing[@]} -eq 0 ]; then
    echo "packages: everything needed is installed"
    return 0
  fi

  echo "packages: installing with apt-get: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
    echo "packages: needs root: run this as root, install sudo, or run: apt-get install ${missing[*]}" >&2
    return 1
  fi
  tl_as_root apt-get update -q >"${TMPDIR:-/tmp}/twinlatch-apt.$$" 2>&1 \
    && tl_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" \
         >>"${TMPDIR:-/tmp}/twinlatch-apt.$$" 2>&1 </dev/null
  local result=$?
  if [ $result -ne 0 ]; then
    tail -n 30 "${TMPDIR:-/tmp}/twinlatch-apt.$$" >&2
    echo "packages: apt-get failed (above)" >&2
  fi
  rm -f "${TMPDIR:-/tmp}/twinlatch-apt.$$"
  return $result
}
