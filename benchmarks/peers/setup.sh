#!/usr/bin/env bash
# Makes the Python environment of the comparison and builds llama.cpp for this very processor.
#   benchmarks/peers/setup.sh ENVIRONMENT [JOBS]
# Needs python3 (3.10 or newer), a C++ compiler, cmake and ninja. What is there already is kept,
# except that llama.cpp, which is built with -march=native, is built again for another processor.
set -euo pipefail
cd "$(dirname "$0")"
environment=${1:?usage: setup.sh ENVIRONMENT [JOBS]}
jobs=${2:-$(nproc)}
llama_version=0.3.36  # of llama-cpp-python, which carries llama.cpp's sources

[ -x "$environment/bin/python" ] || python3 -m venv "$environment"
python=$(realpath "$environment")/bin/python
# Each on its own line: one that cannot be had (no wheel for this Python) leaves out one peer.
while read -r package; do
  "$python" -m pip install --quiet "$package" || echo "setup.sh: no $package" >&2
done < requirements.txt

sources=$environment/llama_cpp_python-$llama_version
if [ ! -d "$sources" ]; then
  "$python" -m pip download --quiet --no-deps --no-build-isolation --no-binary llama-cpp-python \
    "llama-cpp-python==$llama_version" --dest "$environment"
  tar -xzf "$environment/llama_cpp_python-$llama_version.tar.gz" -C "$environment"
fi
processor=$(grep -m1 -E '^flags' /proc/cpuinfo)
if ! "$python" -c 'import llama_cpp' 2>/dev/null ||
   [ "$(cat "$environment/llama_built_for" 2>/dev/null)" != "$processor" ]; then
  options="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF"
  options+=" -DLLAMA_BUILD_TESTS=OFF -DLLAMA_CURL=OFF"
  if command -v ccache > /dev/null; then
    options+=" -DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache"
  fi
  CMAKE_BUILD_PARALLEL_LEVEL=$jobs CMAKE_ARGS=$options \
    "$python" -m pip install --quiet --no-build-isolation --force-reinstall --no-deps "$sources"
  "$python" -m pip install --quiet typing-extensions diskcache jinja2  # what it imports
  echo "$processor" > "$environment/llama_built_for"
fi
echo "$python"
echo "$sources/vendor/llama.cpp"
