#!/bin/sh
# Builds the fuzz targets (preset asan: clang, address and undefined-behaviour sanitizers) and runs each
# from its seeds in tests/fuzz/corpus for some seconds, as many at once as there are processors. Fails,
# with the fuzzer's report and the input that did it, when one finds something.
# Usage: tools/fuzz.sh [SECONDS (60) [NAME...]]
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root"
seconds=${1:-60}
[ $# -eq 0 ] || shift
build=$root/build/asan

tools/install_packages.sh program lint
cmake --preset asan >/dev/null
ninja -C "$build" --quiet fuzz_targets

if [ $# -eq 0 ]; then
  for source in tests/fuzz/fuzz_*.cc; do
    name=${source##*/fuzz_}
    set -- "$@" "${name%.cc}"
  done
fi

printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 sh -c '
  build=$0 seconds=$1 name=$2
  found=$build/corpus/$name
  mkdir -p "$found"
  log=$build/fuzz_$name.log
  # New inputs go to the first folder; the second is only read.
  if "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -max_len=65536 -print_final_stats=1 -artifact_prefix="$build/$name-" \
    "$found" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
    echo "fuzz $name: $(sed -n "s/^stat::number_of_executed_units: *//p" "$log") runs, nothing found"
  else
    tail -n 60 "$log"
    echo "fuzz $name: failed; the log is $log"
    exit 1
  fi' "$build" "$seconds"
