#!/usr/bin/env bash
# Builds the fuzz programs and runs each for so many seconds, from the committed corpus.
# Usage: scripts/fuzz.sh [SECONDS] [NAME...]    SECONDS: 60 by default; NAME: gguf, safetensors, ...
# A crash ends with its input in build/fuzz/found/<name>/.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true

cmake --preset fuzz
cmake --build --preset fuzz
status=0
for program in build/fuzz/bin/fuzz_*; do
  name=${program##*/fuzz_}
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  work=build/fuzz/corpus/$name
  found=build/fuzz/found/$name
  mkdir -p "$work" "$found"
  echo "== $name, $seconds s"
  "$program" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$found/" "$work" "tests/fuzz/corpus/$name" 2>&1 | tail -n 12 || status=1
done
exit $status
