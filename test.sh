#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test.
# Usage: ./test.sh [PRESET]    PRESET: release (default), debug, asan or tsan
set -euo pipefail
cd "$(dirname "$0")"
preset=${1:-release}

dependencies=(--train)
case $preset in
  asan | tsan) ;;  # the page is not tested there
  *) dependencies+=(--web-tests) ;;
esac
scripts/install-deps.sh "${dependencies[@]}"
scripts/lint_includes.py
cmake --preset "$preset"
cmake --build --preset "$preset"
if [ "$preset" = release ]; then
  scripts/lint_isa_symbols.sh "build/$preset"
fi
ctest --preset "$preset" --parallel "$(nproc)"
