#!/usr/bin/env bash
# Builds the fuzz programs and runs them, as many at a time as there are processors.
# Usage: scripts/fuzz.sh [SECONDS] [NAME...]    searches freely: each for so many seconds (default 60), from the
#                                               committed corpus and what earlier searches found
#        scripts/fuzz.sh --ci [NAME...]         repeats what is known: each replays the committed corpus and
#                                               tries a fixed number of inputs from a fixed seed
# NAME: gguf, safetensors, ... (default: all). A crash ends with its input in build/fuzz/found/<name>/.
# Needs Clang: scripts/install-deps.sh --fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-60}
shift || true
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for source in tests/fuzz/fuzz_*.cc; do
    name=${source##*/fuzz_}
    names+=("${name%.cc}")
  done
fi

cmake --preset asan
cmake --build --preset asan --target "${names[@]/#/fuzz_}"

run_one() {
  local mode=$1 name=$2
  local work=build/fuzz/corpus/$name found=build/fuzz/found/$name log=build/fuzz/$name.log
  local limits=(-max_total_time="$mode" -timeout=10)
  if [ "$mode" = --ci ]; then
    # Always from the same start, and with time for a machine that does something else as well.
    work=build/fuzz/ci-corpus/$name
    rm -rf "$work"
    limits=(-seed=1 -runs=20000 -timeout=120)
  fi
  mkdir -p "$work" "$found"
  local status=0 start=$SECONDS
  "build/asan/bin/fuzz_$name" "${limits[@]}" -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$found/" "$work" "tests/fuzz/corpus/$name" >"$log" 2>&1 || status=1
  if [ $status -eq 0 ]; then
    echo "$name: no fault, $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $((SECONDS - start)) s"
  else
    echo "$name: FAILED (build/fuzz/$name.log)"
    tail -n 60 "$log"
  fi
  return $status
}
export -f run_one
printf '%s\n' "${names[@]}" | xargs -P "$(nproc)" -I{} bash -c 'run_one "$@"' - "$mode" {}
