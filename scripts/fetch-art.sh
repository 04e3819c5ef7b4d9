#!/usr/bin/env bash
# Fetches the emoji drawings that fastvlm-train draws scenes with: eleven icon sets from the
# npm registry, in pinned versions and with checked sums. NOTICE says whose they are.
# Safe to run again: what is there and undamaged stays.
# Usage: scripts/fetch-art.sh [DIR]    DIR (default build/art) gets <set>/icons.json
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
target=${1:-$root/build/art}

# set, version, sha256 of the package
sets=(
  "noto 1.2.9 3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"
  "noto-v1 1.2.5 2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37"
  "fluent-emoji-flat 1.2.6 7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175"
  "twemoji 1.2.5 19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"
  "emojione 1.2.3 26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e"
  "streamline-emojis 1.2.4 5dac87c876b322500989828c5823143e0100d78881627a2e4081a4b897cbfdbc"
  "fxemoji 1.2.2 f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef"
  "fluent-emoji-high-contrast 1.2.6 0b92d48c90d2200bd499e3cdd09a127ca6a8c8ddefd34c35eb5a1e4994012ae0"
  "emojione-monotone 1.2.1 40b90004bafb406b59266155ef9b7e1dd67bf2947fc8db8d07388776f4d0d04e"
  "game-icons 1.2.4 f5758efb34d91c4f50b941f355f16ee73938625e5996fabc25171288404460a4"
  "openmoji 1.2.29 03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5"
)

fail() {
  echo "fetch-art.sh: $*" >&2
  exit 1
}

# download NAME VERSION FILE: npm where it is, as it knows about proxies and mirrors; else curl.
download() {
  if command -v npm >/dev/null; then
    (cd "$(dirname "$3")" && npm pack --silent "@iconify-json/$1@$2" >/dev/null) || return 1
    mv "$(dirname "$3")/iconify-json-$1-$2.tgz" "$3"
  else
    curl --fail --silent --show-error --location --retry 3 --output "$3" \
      "https://registry.npmjs.org/@iconify-json/$1/-/$1-$2.tgz"
  fi
}

command -v npm >/dev/null || command -v curl >/dev/null ||
  fail "npm or curl is needed; run scripts/install-deps.sh --train"
mkdir -p "$target" || fail "cannot make the folder $target"
work=$(mktemp -d "$target/.fetch.XXXXXX") || fail "cannot write into $target"
trap 'rm -rf "$work"' EXIT

for line in "${sets[@]}"; do
  read -r name version sum <<<"$line"
  stamp=sha256-$version
  if (cd "$target/$name" 2>/dev/null && sha256sum --status --check "$stamp" 2>/dev/null); then
    echo "$name $version: already there" >&2
    continue
  fi
  echo "$name $version: fetching" >&2
  mkdir "$work/$name"
  package=$work/$name/package.tgz
  download "$name" "$version" "$package" ||
    fail "cannot download @iconify-json/$name@$version; is there a network? Run it again later."
  found=$(sha256sum "$package" | cut -d' ' -f1)
  [ "$found" = "$sum" ] ||
    fail "@iconify-json/$name@$version has the sum $found, expected $sum: not the pinned package"
  tar -xzf "$package" -C "$work/$name" --strip-components=1 package/icons.json package/info.json ||
    fail "cannot unpack @iconify-json/$name@$version; is the disk full?"
  (cd "$work/$name" && rm package.tgz && sha256sum icons.json info.json >"$stamp")
  rm -rf "${target:?}/$name"
  mv "$work/$name" "$target/$name"
done

mapfile -t fonts < <("$root/scripts/install-deps.sh" --train --print 2>/dev/null | grep '^fonts-')
if [ ${#fonts[@]} -gt 0 ]; then
  echo "These font packages are missing; scripts/install-deps.sh --train installs them:" >&2
  printf '  %s\n' "${fonts[@]}" >&2
fi
echo "Art is in $target. Next: fastvlm-train art --icons $target --output $target/art.cache" >&2
