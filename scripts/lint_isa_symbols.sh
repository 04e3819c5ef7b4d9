#!/usr/bin/env bash
# Checks that objects compiled for an instruction set define nothing but the functions of that
# instruction set's namespace: an inline function of a shared header that leaked from such an object
# could be linked into baseline code and crash older CPUs.
# Usage: scripts/lint_isa_symbols.sh BUILD_DIR
set -euo pipefail
build=${1:?usage: scripts/lint_isa_symbols.sh BUILD_DIR}
mapfile -t objects < <(find "$build" -name 'avx2.cc.o' -o -name 'avx512.cc.o' -o -name 'avx512_*.cc.o')
if [ ${#objects[@]} -eq 0 ]; then
  echo "no objects for avx2 or avx512 below $build; is it built?" >&2
  exit 1
fi
bad=0
for object in "${objects[@]}"; do
  isa=$(basename "$object" .cc.o)
  isa=${isa%%_*}  # the namespace of avx512_vnni, avx512_bf16 and avx512_fp16 is avx512
  # Defined symbols other programs can see: strong (T D B R), weak (W V) and unique (u) ones.
  if nm -C --defined-only --extern-only "$object" | cut -d' ' -f2- | grep -v "^T fastvlm::$isa::" ; then
    echo "  ^ defined by $object, outside fastvlm::$isa" >&2
    bad=1
  fi
done
echo "ISA symbols: ${#objects[@]} objects checked" >&2
exit $bad
