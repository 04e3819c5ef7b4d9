#!/usr/bin/env bash
# Runs the page in Chromium with a fake camera: against a played server, and against the program if it is named.
# Usage: tests/web/run.sh DIRECTORY [PROGRAM] [TEST...]
#   DIRECTORY  where the Python environment is made, inside the build directory
#   PROGRAM    build/release/bin/fastvlm; "" for none
# Exit status: 0 all passed; 77 skipped, because Chromium or, the first time, the network is missing; 1 otherwise.
# scripts/install-deps.sh --web-tests installs Chromium.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
directory=$(realpath -m "${1:?usage: tests/web/run.sh DIRECTORY [PROGRAM] [TEST...]}")
FASTVLM_PROGRAM=${2:+$(realpath "$2")}
export FASTVLM_PROGRAM
shift $(($# < 2 ? $# : 2))

if [ -z "${FASTVLM_CHROMIUM:-}" ]; then
  for name in chromium chromium-browser; do
    # Ubuntu's chromium-browser may only say that Chromium is a snap to be installed.
    if "$name" --version >/dev/null 2>&1; then FASTVLM_CHROMIUM=$(command -v "$name") && break; fi
  done
  if [ -z "${FASTVLM_CHROMIUM:-}" ]; then
    echo "skipped: no Chromium; on Debian scripts/install-deps.sh --web-tests installs it, on Ubuntu:" \
      "snap install chromium" >&2
    exit 77
  fi
fi
export FASTVLM_CHROMIUM
python=$directory/venv/bin/python
if ! cmp -s "$here/requirements.txt" "$directory/venv/requirements.txt"; then
  mkdir -p "$directory"
  if ! python3 -m venv --clear "$directory/venv" >&2; then
    echo "skipped: no python3-venv; scripts/install-deps.sh --web-tests installs it" >&2
    exit 77
  fi
  if ! "$python" -m pip install --quiet --retries 0 --timeout 20 --disable-pip-version-check \
      -r "$here/requirements.txt" >&2; then
    echo "skipped: Playwright's Python package could not be installed from PyPI" >&2
    exit 77
  fi
  cp "$here/requirements.txt" "$directory/venv/requirements.txt"
fi
cd "$here"
tests=("$@")
if [ ${#tests[@]} -eq 0 ]; then
  tests=(page_test look_test)
  if [ -n "$FASTVLM_PROGRAM" ]; then tests+=(serve_test); fi
fi
exec "$python" -B -m unittest "${tests[@]}"
