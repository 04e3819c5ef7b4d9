#!/usr/bin/env bash
# The whole comparison. Takes up where an earlier run stopped.
#   benchmarks/peers/run.sh ENVIRONMENT MODEL RESULTS [MINUTES]
# ENVIRONMENT: of setup.sh. MODEL: 0.5B in Apple's layout, for example by
# scripts/make_synthetic_checkpoint.py. RESULTS: directory. MINUTES: for all the rounds, in all.
# FASTVLM names the program, APPLE_SOURCE a clone of https://github.com/apple/ml-fastvlm;
# ROUNDS, THREADS, LLAMA_SOURCE and FILES (made by prepare.py; 8 GB) may be set too.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
environment=${1:?usage: run.sh ENVIRONMENT MODEL RESULTS [MINUTES]}
model=${2:?no model given} results=${3:?no directory for results given} minutes=${4:-90}
python=$environment/bin/python
fastvlm=${FASTVLM:-$here/../../build/release/bin/fastvlm}
files=${FILES:-$results/files}
llama=${LLAMA_SOURCE:-$(echo "$environment"/llama_cpp_python-*/vendor/llama.cpp)}
common=(--model "$model" --files "$files" --fastvlm "$fastvlm" --results "$results"
        --rounds "${ROUNDS:-5}" --threads "${THREADS:-2}")
[ -z "${APPLE_SOURCE:-}" ] || common+=(--apple-source "$APPLE_SOURCE")
mkdir -p "$results"

"$python" "$here/prepare.py" --model "$model" --files "$files" --llama-source "$llama" \
  2>> "$results/log.txt" || echo "run.sh: some files could not be made, see $results/log.txt" >&2
end=$(($(date +%s) + minutes * 60))
for part in language first-token encoder; do
  left=$(((end - $(date +%s)) / 60))
  [ "$left" -gt 0 ] || break
  "$python" "$here/compare.py" "$part" "${common[@]}" --minutes "$left"
done
"$python" "$here/report.py" "$results"
