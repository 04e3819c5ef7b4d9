#!/usr/bin/env bash
# The checks that need no build: directions of includes, pages, and the format of the C++ files.
# Usage: scripts/lint.sh    needs clang-format 14, Debian 12's: scripts/install-deps.sh --checks
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/lint_includes.py
scripts/lint_docs.py
# Other versions format some lines differently.
format=$(command -v clang-format-14 || command -v clang-format)
git ls-files -z '*.cc' '*.h' | xargs -0 "$format" --dry-run -Werror
