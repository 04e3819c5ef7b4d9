#!/usr/bin/env bash
# Runs clang-tidy, with the checks of .clang-tidy, on what changed.
# Usage: scripts/tidy.sh [BUILD_DIR [BASE]]
#   BUILD_DIR  has compile_commands.json (default build/release)
#   BASE       the commit to compare with; by default where this branch left origin/main, or the commit before
#              this one if it has not left it
# Changed are the sources that differ from BASE, and for a header all sources of its folder. Of these the first 40
# by name are checked, a minute or two of work. Clang reads each source by itself, so an include that is missing
# is found here, where the build reads sources in batches. Tests are left out, because Clang cannot read the
# headers that GCC precompiles for them. Where no commit can be compared with, as in a clone of depth 1, src/base
# is checked.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
base=${2:-}
most=40

if [ -z "$base" ]; then
  base=$(git merge-base HEAD origin/main 2>/dev/null || true)
  if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then
    base=$(git rev-parse --verify --quiet HEAD~1 || true)
  fi
fi

# The sources to check for the files named on standard input.
sources_of() {
  local file
  while read -r file; do
    case $file in
      *.cc) if [ -f "$file" ]; then echo "$file"; fi ;;
      *.h) git ls-files "$(dirname "$file")/*.cc" ;;
    esac
  done | grep -E '^(src|apps)/' | grep -vE '(_test|/test|bench)\.cc$' | sort -u
}

if [ -n "$base" ]; then
  mapfile -t sources < <(git diff --name-only "$base" | sources_of || true)
else
  mapfile -t sources < <(git ls-files 'src/base/*.cc' | sources_of)
fi
if [ ${#sources[@]} -eq 0 ]; then
  echo "tidy.sh: no source has changed since ${base:0:12}"
  exit 0
fi
if [ ${#sources[@]} -gt $most ]; then
  echo "tidy.sh: the first $most of ${#sources[@]} changed sources"
  sources=("${sources[@]:0:$most}")
fi
printf '%s\n' "${sources[@]}"
printf '%s\0' "${sources[@]}" | xargs -0 -P "$(nproc)" -n 1 clang-tidy -p "$build" --quiet \
  --extra-arg=-Wno-unknown-warning-option  # GCC's names of warnings
