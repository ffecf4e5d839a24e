#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a checkout to two paired nodes: installs what is missing, builds, starts a gateway on a free port in a temporary
# directory, pairs one node by PIN and one by link (each approved by its six digits), runs system.info and fs.read on both.
# Leaves nothing behind.   --keep: leaves it running and prints what to try next.   --build DIR: uses an existing build.
set -eu -o pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
keep=no
build=
while [ $# -gt 0 ]; do
  case "$1" in
    --keep) keep=yes ;;
    --build) build=$(cd "${2:?--build needs a folder}" && pwd); shift ;;
    *) echo "usage: bash data/quickstart.sh [--keep] [--build DIR]" >&2; exit 2 ;;
  esac
  shift
done

say () { printf '\n\033[1m== %s\033[0m\n' "$*"; }
fail () { echo "quickstart: $*" >&2; exit 1; }

temporary=$(mktemp -d "${TMPDIR:-/tmp}/twinlatch-quickstart.XXXXXX")
pids=()
clean_up ()
{
  local code=$? pid
  trap - EXIT INT TERM
  if [ $code -ne 0 ]; then
    for log in "$temporary"/log/*; do
      [ -s "$log" ] && { echo "--- last lines of ${log##*/}:"; tail -n 15 "$log"; } >&2
    done
  fi
  if [ $code -eq 0 ] && [ $keep = yes ]; then
    exit 0
  fi
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || :; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || :; done
  rm -rf "$temporary"
  [ $code -ne 0 ] || echo "stopped and removed everything below $temporary"
  exit $code
}
trap clean_up EXIT
trap 'exit 130' INT TERM

. "$root/data/install-packages.sh"
say "1. packages"
tl_install_packages "$root/data/packages.txt" build || fail "packages are missing"

mkdir -m 0700 "$temporary"/{home,run,log,gateway,node-pin,node-link}
if [ -z "$build" ]; then
  say "2. build (into $temporary/build)"
  build=$temporary/build
  /usr/bin/meson setup "$build" "$root" -Dtests=false >"$temporary/log/meson" 2>&1 || fail "meson setup failed"
  /usr/bin/ninja -C "$build" >"$temporary/log/ninja" 2>&1 || fail "the build failed"
  rm -f "$temporary"/log/meson "$temporary"/log/ninja
fi
PATH=$build/daemon:$build/agent:$build/agent/cli:$PATH
command -v twinlatchd >/dev/null && command -v twinlatch >/dev/null || fail "no twinlatchd and twinlatch in $build"

# Nothing of the person's own configuration, state or session is read or written.
export HOME=$temporary/home XDG_RUNTIME_DIR=$temporary/run TMPDIR=$temporary
export XDG_CONFIG_HOME=$HOME/.config XDG_STATE_HOME=$HOME/.local/state XDG_DATA_HOME=$HOME/.local/share XDG_CACHE_HOME=$HOME/.cache
unset TWINLATCH_ADMIN_SOCKET http_proxy https_proxy grpc_proxy

# member FILE NAME...: a member of the JSON in a file; numbers are positions in a list
member ()
{
  /usr/bin/python3 -c '
import json, sys
value = json.load(open(sys.argv[1]))
for name in sys.argv[2:]:
    value = value[int(name) if name.isdigit() else name]
print(value)' "$@"
}

# await SECONDS PID COMMAND...: until the command succeeds; at once false when the process is gone
await ()
{
  local end=$((SECONDS + $1)) pid=$2
  shift 2
  until "$@"; do
    kill -0 "$pid" 2>/dev/null || return 1
    [ $SECONDS -lt $end ] || return 1
    sleep 0.05
  done
}

say "3. gateway"
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$temporary/twinlatchd.conf" <<CONF
[gateway]
name=quickstart
listen=127.0.0.1:$port
advertise=127.0.0.1:$port
CONF
twinlatchd --user --config "$temporary/twinlatchd.conf" --state-dir "$temporary/gateway" --print-ready \
  >"$temporary/ready" 2>"$temporary/log/twinlatchd" </dev/null &
daemon=$!
pids+=("$daemon")
await 20 $daemon grep -q '"ready"' "$temporary/ready" || fail "twinlatchd did not start"
echo "twinlatchd runs: gateway $(member "$temporary/ready" gateway_id), 127.0.0.1:$port"

mkdir "$temporary/docs"
echo "hello from a file below the root 'docs'" >"$temporary/docs/hello.txt"

# pair NAME SECRET [OPTION...]: the secret goes in on standard input, never in the arguments; the six digits that the node
# shows are what the operator has to type.
pair ()
{
  local name=$1 secret=$2 digits request pid
  shift 2
  printf '%s\n' "$secret" \
    | twinlatch node pair --state-dir "$temporary/node-$name" --name "quickstart-$name" --from - "$@" \
        >"$temporary/pair-$name" 2>&1 &
  pid=$!
  pids+=("$pid")
  shows_digits () { grep -qE '\b[0-9]{3} [0-9]{3}\b' "$temporary/pair-$name"; }
  waits () { twinlatch pairing list --json >"$temporary/requests" && member "$temporary/requests" items 0 request_id >/dev/null 2>&1; }
  await 30 $pid shows_digits || { cat "$temporary/pair-$name" >&2; fail "$name: the node showed no comparison code"; }
  digits=$(grep -oE '\b[0-9]{3} [0-9]{3}\b' "$temporary/pair-$name" | head -n 1)
  await 30 $pid waits || { cat "$temporary/pair-$name" >&2; fail "$name: no request reached the gateway"; }
  request=$(member "$temporary/requests" items 0 request_id)
  echo "node '$name' shows $digits; operator: twinlatch pairing approve $request --code \"$digits\""
  twinlatch pairing approve "$request" --code "$digits"
  wait "$pid" || { cat "$temporary/pair-$name" >&2; fail "$name: pairing failed"; }
}

say "4. pair one node by PIN"
twinlatch pairing mint --pin --label quickstart-pin --json >"$temporary/mint"
echo "minted PIN $(member "$temporary/mint" secret)"
pair pin "$(member "$temporary/mint" secret)" --gateway "127.0.0.1:$port"

say "5. pair one node by link"
twinlatch pairing mint --link --label quickstart-link --json >"$temporary/mint"
echo "minted $(member "$temporary/mint" secret | sed -E 's/([?&]t=)[^&]*/\1.../')"
pair link "$(member "$temporary/mint" secret)" --yes
rm -f "$temporary/mint"

say "6. run both nodes"
for name in pin link; do
  twinlatch node run --state-dir "$temporary/node-$name" --root "docs=$temporary/docs" \
    >"$temporary/log/node-$name" 2>&1 </dev/null &
  pids+=($!)
done
connected ()
{
  twinlatch nodes list --json >"$temporary/nodes" && [ "$(/usr/bin/python3 -c '
import json, sys
print(sum(1 for node in json.load(open(sys.argv[1]))["items"] if node["connected"]))' "$temporary/nodes")" = 2 ]
}
await 20 $daemon connected || fail "the nodes did not connect"
twinlatch nodes list

for name in pin link; do
  say "quickstart-$name: system.info, then fs.read"
  twinlatch exec "quickstart-$name" system.info
  twinlatch exec "quickstart-$name" fs.read '{"root":"docs","path":"hello.txt"}'
done

if [ $keep = yes ]; then
  say "still running; next"
  cat <<NEXT
export XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR XDG_STATE_HOME=$XDG_STATE_HOME XDG_CONFIG_HOME=$XDG_CONFIG_HOME PATH=$build/daemon:$build/agent:\$PATH
twinlatch status
twinlatch devices list
twinlatch exec quickstart-pin echo '{"hello":"world"}'
twinlatch exec quickstart-link fs.list '{"root":"docs","path":"."}'
twinlatch pairing mint --link --qr
twinlatch devices revoke quickstart-link --yes
kill ${pids[*]}; rm -rf $temporary        # to stop it
NEXT
else
  say "done"
fi
