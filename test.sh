#!/usr/bin/env bash
# Installs what is missing, builds, runs every test, and ends with the tests that were skipped and why.
# Usage: ./test.sh [PRESET]    PRESET: release (default; the preset "test"), debug, asan or tsan
# With CI=true a test that is skipped because something could not be had is a failure.
set -euo pipefail
cd "$(dirname "$0")"
preset=${1:-release}
if [ "$preset" = release ]; then preset=test; fi  # as optimised, with the tests, in build/test

dependencies=(--train)
case $preset in
  asan) dependencies+=(--fuzz) ;;  # Clang; the page is not tested there
  tsan) ;;
  *) dependencies+=(--web-tests) ;;
esac
scripts/install-deps.sh "${dependencies[@]}"
scripts/lint_includes.py
scripts/lint_docs.py
cmake --preset "$preset"
cmake --build --preset "$preset"
if [ "$preset" = test ]; then
  scripts/lint_isa_symbols.sh "build/$preset"
fi
report=$PWD/build/$preset/tests.xml
status=0
ctest --preset "$preset" --parallel "$(nproc)" --output-junit "$report" --test-output-size-passed 65536 ||
  status=$?
scripts/list_skips.py "$report" || status=1
exit $status
