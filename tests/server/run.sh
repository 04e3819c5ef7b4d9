#!/usr/bin/env bash
# Real clients against the server: the openai and ollama packages, curl, the examples of
# docs/SERVER.md. The packages come from PyPI into a virtual environment in the build directory.
# Usage: tests/server/run.sh [BUILD_DIR]    (default: build/release)
# Exit status: 0 all passed, 1 a test failed, 77 skipped: the packages are not to be had.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:-$root/build/release}" && pwd)
here=$root/tests/server
venv=$build/server-venv
export FASTVLM_PROGRAM=${FASTVLM_PROGRAM:-$build/bin/fastvlm}

skip() {
  echo "SKIPPED: $1" >&2
  exit 77
}

command -v curl >/dev/null || skip "there is no curl"
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
  python3 -m venv --clear "$venv" || skip "python3 -m venv does not work (Debian: python3-venv)"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --timeout 15 --retries 1 \
    -r "$here/requirements.txt" || skip "PyPI cannot be reached"
  cp "$here/requirements.txt" "$venv/installed.txt"
fi

status=0
for test in openai_test ollama_test docs_test; do
  echo "== $test"
  "$venv/bin/python" "$here/$test.py" || status=1
done
exit $status
