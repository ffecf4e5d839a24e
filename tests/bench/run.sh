#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Benchmarks of the gateway over gRPC and QUIC, each beside a reference measured in the same run.
#   --json   an object a line: {bench, value, unit, reference, ratio, budget, ok}
#   --quick  small counts: about a minute instead of several, and a history of 20 000 requests instead of a million
#   --only=NAME  pairing, handshakes, dispatch, quic, memory, history or revoke alone
# Uses the build in $TL_BUILD_DIR; without it makes and uses a release build in build-release/ of the checkout, or below $TL_BUILD_ROOT.
# Exit code: 0 every row ok, 1 a row over its budget, 2 it could not be measured.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
for argument in "$@"; do
  case $argument in
    --json | --quick | --only=*) ;;
    --help | -h) sed -n 's/^# \{0,1\}//; 3,8p' "$0"; exit 0 ;;
    *) echo "bench: unknown argument '$argument'; see --help" >&2; exit 2 ;;
  esac
done

programs=(daemon/twinlatchd agent/cli/twinlatch tests/bench/bench-gateway tests/helpers/quic-flood)
build=${TL_BUILD_DIR:-}
if [ -z "$build" ]; then
  build=${TL_BUILD_ROOT:-$root}/build-release
  log=$(mktemp)
  if ! { { [ -f "$build/build.ninja" ] || /usr/bin/meson setup "$build" "$root" --buildtype=release; } &&
    /usr/bin/ninja -C "$build" "${programs[@]}"; } >"$log" 2>&1; then
    tail -40 "$log" >&2
    rm -f "$log"
    echo "bench: the build in $build failed" >&2
    exit 2
  fi
  rm -f "$log"
fi
for program in "${programs[@]}"; do
  [ -x "$build/$program" ] || { echo "bench: no $program in $build; build first" >&2; exit 2; }
done

folder=$(mktemp -d "${TMPDIR:-/tmp}/twinlatch-bench.XXXXXX")
bench=
finish () {
  if [ -n "$bench" ]; then
    kill -KILL "$bench" 2>/dev/null || true
    wait "$bench" 2>/dev/null || true
  fi
  # Its own children die with it, a moment later; until then they may still write.
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$folder" 2>/dev/null && return
    sleep 0.1
  done
}
trap finish EXIT
trap 'exit 2' INT TERM HUP
"$build/tests/bench/bench-gateway" --directory "$folder" --twinlatchd "$build/daemon/twinlatchd" \
  --twinlatch "$build/agent/cli/twinlatch" "$@" &
bench=$!
code=0
wait "$bench" || code=$?
bench=
[ "$code" -le 1 ] && exit "$code"
case $code in
  141) exit 2 ;; # nobody reads any more
  142) echo "bench: it took too long" >&2 ;;
  129 | 1[3-9]?) echo "bench: ended by signal $((code - 128))" >&2 ;;
esac
for log in "$folder"/*.log; do
  [ ! -f "$log" ] || tail -n 5 "$log" >&2
done
exit 2
