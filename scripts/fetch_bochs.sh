#!/usr/bin/env bash
# Unpacks Debian 13's Bochs 3.0, which emulates AVX512_BF16, and the libraries it needs into DIR,
# for scripts/test_avx512_emulated.sh --bochs DIR. It installs nothing and needs no root. It
# downloads about 50 MB.
# Usage: scripts/fetch_bochs.sh DIR
set -euo pipefail
dir=${1:?usage: scripts/fetch_bochs.sh DIR}
mkdir -p "$dir"
dir=$(realpath -- "$dir")
apt=$dir/apt
mkdir -p "$apt"/lists/partial "$apt"/archives/partial
echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main' \
  >"$apt/sources.list"
# As if nothing were installed, so that apt names every package that is needed.
: >"$apt/status"
options=(-o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt"
  -o Dir::Cache::archives="$apt/archives" -o Debug::NoLocking=1)
apt-get "${options[@]}" update >&2
apt-get "${options[@]}" install -y --download-only --no-install-recommends \
  bochs bochs-term bochsbios vgabios >&2
for package in "$apt"/archives/*.deb; do
  case ${package##*/} in
    *theme*|*icon*|fonts-*|mesa-*|libllvm*|perl*|dpkg*|debconf*) ;;  # recommended by what Bochs links
    *) dpkg -x "$package" "$dir" ;;
  esac
done
rm -rf -- "$apt"
echo "Bochs is below $dir" >&2
