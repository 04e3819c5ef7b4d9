#!/usr/bin/env bash
# Measures which lines of the library and the program the tests run. Not part of continuous integration.
# Usage: scripts/coverage.sh    prints a line for each folder, then all; pages are in build/coverage/html
# Needs gcovr: apt-get install gcovr. An unoptimised build and its tests take about as long as ./test.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v gcovr >/dev/null || {
  echo "coverage.sh: gcovr is needed: apt-get install gcovr" >&2
  exit 1
}
build=build/coverage
# Warnings are no errors, since GCC guesses wrong without its usual inlining.
# -O1, because the kernels' tests would take hours at -O0. Counters are atomic: many tests have threads.
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS="--coverage -fprofile-update=atomic -O1" \
  -DFASTVLM_BUILD_TESTS=ON -DFASTVLM_WERROR=OFF -DCMAKE_UNITY_BUILD=ON
cmake --build $build
find $build -name '*.gcda' -delete
status=0
ctest --test-dir $build --parallel "$(nproc)" --output-on-failure || status=$?
mkdir -p $build/html
gcovr --root . --object-directory $build --filter 'src/' --filter 'include/' --filter 'apps/' \
  --exclude '.*test\.cc' --exclude '.*bench\.cc' --exclude '.*/test_.*\.h' \
  --exclude-throw-branches --print-summary --html-details $build/html/index.html
exit $status
