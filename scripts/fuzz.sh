#!/usr/bin/env bash
# Builds the fuzz programs and runs each for so many seconds, from the committed corpus, as many at a
# time as there are processors.
# Usage: scripts/fuzz.sh [SECONDS] [NAME...]    SECONDS: 60 by default; NAME: gguf, safetensors, ...
# A crash ends with its input in build/fuzz/found/<name>/. Needs Clang: scripts/install-deps.sh --fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for source in tests/fuzz/fuzz_*.cc; do
    name=${source##*/fuzz_}
    names+=("${name%.cc}")
  done
fi

cmake --preset fuzz
cmake --build build/fuzz --target "${names[@]/#/fuzz_}"

run_one() {
  local seconds=$1 name=$2
  local work=build/fuzz/corpus/$name found=build/fuzz/found/$name log=build/fuzz/$name.log
  mkdir -p "$work" "$found"
  local status=0
  "build/fuzz/bin/fuzz_$name" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$found/" "$work" "tests/fuzz/corpus/$name" >"$log" 2>&1 || status=1
  if [ $status -eq 0 ]; then
    echo "$name: no fault, $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s"
  else
    echo "$name: FAILED (build/fuzz/$name.log)"
    tail -n 60 "$log"
  fi
  return $status
}
export -f run_one
printf '%s\n' "${names[@]}" | xargs -P "$(nproc)" -I{} bash -c 'run_one "$@"' - "$seconds" {}
