#!/usr/bin/env bash
# Makes models/nano from nothing: fetches the art, renders it, trains the tokenizer and the model,
# and exports it. Hours on two cores; stopped with Ctrl-C or killed, it goes on where it was.
# Needs scripts/install-deps.sh --train and a release build.
# Usage: scripts/train-nano.sh [WORK] [MODEL] [RECIPE]
#   WORK    directory for the art, the run and its logs (default build/nano)
#   MODEL   directory of the finished model (default WORK/model)
#   RECIPE  what to train and how (default train/recipes/nano.json)
set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.."
work=${1:-build/nano}
model=${2:-$work/model}
train=build/release/bin/fastvlm-train
recipe=${3:-train/recipes/nano.json}

if [ ! -x "$train" ]; then
  echo "train-nano.sh: $train is missing; after scripts/install-deps.sh --train:" >&2
  echo "  cmake --preset release -DFASTVLM_BUILD_TRAINER=ON && cmake --build --preset release --target fastvlm-train" >&2
  exit 1
fi
mkdir -p "$work"
if [ ! -f "$work/art.cache" ]; then
  scripts/fetch-art.sh "$work/icons"
  "$train" art --icons "$work/icons" --output "$work/art.cache"
fi
if [ ! -f "$work/tokenizer/tokenizer.json" ]; then
  "$train" corpus --art "$work/art.cache" --scenes 20000 >"$work/corpus.partial"
  mv "$work/corpus.partial" "$work/corpus.txt"
  "$train" tokenizer --corpus "$work/corpus.txt" --output "$work/tokenizer" --vocab-size 2400
fi
"$train" train --recipe "$recipe" --art "$work/art.cache" --tokenizer "$work/tokenizer" \
  --run "$work/run"
"$train" export --recipe "$recipe" --art "$work/art.cache" --tokenizer "$work/tokenizer" \
  --run "$work/run" --output "$model"
