#!/usr/bin/env bash
# Shows what fastvlm does: installs what is missing, builds the program, and lets the bundled model
# describe a picture. For Debian 12, Ubuntu 24.04 or later.
# Usage: ./demo.sh [PICTURE]    without PICTURE, a sample is described
set -euo pipefail

picture=''
if [ $# -gt 0 ]; then
  if [ ! -f "$1" ]; then
    echo "demo.sh: there is no picture $1" >&2
    exit 2
  fi
  picture=$(realpath -- "$1")
fi
cd "$(dirname -- "${BASH_SOURCE[0]}")"
picture=${picture:-models/nano/samples/demo.png}
program=build/release/bin/fastvlm

bold='' dim='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\033[1m' dim=$'\033[2m' plain=$'\033[0m'
fi
step() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }

if [ ! -f "$picture" ]; then
  echo "demo.sh: $picture is missing; is this a complete copy of the project?" >&2
  exit 1
fi

step "1/3  Packages"
scripts/install-deps.sh --program

step "2/3  Building the program (a few minutes the first time)"
cmake --preset release
cmake --build --preset release --target fastvlm

step "3/3  Describing $picture"
printf '%s$ %s describe %s%s\n' "$dim" "$program" "$picture" "$plain"
"$program" describe "$picture"

step "What to try next"
cat <<EOF
A picture of your own, or a question:
  $program describe my-picture.png
  $program describe --prompt "What is on the left?" $picture
Answer, tokens and timings as JSON, and everything else:
  $program describe --json $picture
  $program --help

The bundled model is tiny: it knows simple drawings of common things, and short printed text. For
photographs and documents fetch Apple's weights (licensed for research):
  $program pull apple/FastVLM-0.5B
  $program describe --model apple/FastVLM-0.5B photo.jpg
A page with a camera, and an API for other programs:
  $program serve
EOF
