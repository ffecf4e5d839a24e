#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the fuzz targets with clang and runs each from its corpus for some seconds. Prints TAP.
#   tests/fuzz/run-short.sh [SECONDS [TARGET...]]   default: $TL_FUZZ_SECONDS or 5, all targets
# $TL_FUZZ_SEED: default 1, so that a run can be repeated; 0 is another one every time. $TL_FUZZ_JOBS: at a time (2).
# Build folder: build-fuzz/ in the checkout, or below $TL_BUILD_ROOT. What crashes stays in its tests/fuzz/crash-*,
# what was found on the way in tests/fuzz/found-*.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${TL_BUILD_ROOT:-$root}/build-fuzz
jobs=${TL_FUZZ_JOBS:-2}
seed=${TL_FUZZ_SEED:-1}
log=$build/build.log
seconds=${1:-${TL_FUZZ_SECONDS:-5}}
shift $(($# > 0))
case $seconds in
  '' | *[!0-9]*) echo "Bail out! '$seconds' is not a number of seconds"; exit 2 ;;
esac

# Everything that went wrong before there was a first result.
bail_out ()
{
  tail -n 60 "$log" | sed 's/^/# /'
  echo "Bail out! $1"
  exit 1
}

# One target; its result is left in a file, for the order of the report.
run_one ()
{
  local name=$1 log=$build/tests/fuzz/run-$1.log start=$SECONDS
  local -a arguments=(-max_total_time="$seconds" -seed="$seed" -max_len=4096 -timeout=10 -rss_limit_mb=1024
    -print_final_stats=1 -artifact_prefix="$build/tests/fuzz/crash-$1-")

  [ ! -f "$here/$name.dict" ] || arguments+=(-dict="$here/$name.dict")
  mkdir -p "$build/tests/fuzz/found-$name"
  ASAN_OPTIONS=quarantine_size_mb=32 UBSAN_OPTIONS=print_stacktrace=1 nice -n 10 \
    "$build/tests/fuzz/fuzz-$name" "${arguments[@]}" \
    "$build/tests/fuzz/found-$name" "$here/corpus/$name" >"$log" 2>&1 </dev/null
  echo "$? $((SECONDS - start))" >"$log.status"
}

if [ $# -gt 0 ]; then
  names=("$@")
else
  names=()
  for source in "$here"/fuzz-*.c; do
    source=${source##*/fuzz-}
    names+=("${source%.c}")
  done
fi

mkdir -p "$build"
if [ ! -f "$build/build.ninja" ]; then
  # The targets bring their own options; what is only linked need not be fast but there.
  CC=clang nice -n 10 meson setup "$build" "$root" -Dfuzzing=true --buildtype=plain >"$log" 2>&1 || bail_out "meson setup failed"
fi
nice -n 10 ninja -C "$build" -j "$jobs" fuzz-targets >"$log" 2>&1 || bail_out "the targets do not build"

echo "1..${#names[@]}"
for name in "${names[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
    wait -n
  done
  run_one "$name" &
done
wait

number=0 failed=0
for name in "${names[@]}"; do
  number=$((number + 1))
  log=$build/tests/fuzz/run-$name.log
  read -r status took <"$log.status"
  executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  # Without a single run it is no result, whatever the exit code says.
  if [ "$status" -eq 0 ] && [ "${executed:-0}" -gt 0 ]; then
    echo "ok $number fuzz/$name"
    echo "# $executed inputs in $took s"
  else
    failed=1
    echo "not ok $number fuzz/$name"
    grep -av '^#[0-9]' "$log" | tail -n 60 | sed 's/^/# /'
  fi
done
exit "$failed"
