#!/usr/bin/env bash
# Uses the library as another project would: installs it, and builds examples/ with it.
# Usage: tests/consumer/run.sh STEP BUILD_DIR WORK_DIR
#   install     installs BUILD_DIR, which must be built, and moves the installation to WORK_DIR/prefix
#   static      examples by find_package, with the static library
#   shared      examples by find_package, with the shared library
#   pkg_config  one example by pkg-config, with the shared library
#   symbols     the shared library shows its public API, and nothing else
#   snippets    the C++ of docs/API.md compiles
#   sources     examples by add_subdirectory: compiles the library, which takes two minutes; needs no BUILD_DIR built
# All but install and sources need install before them. CXX names the compiler.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
step=${1:?usage: tests/consumer/run.sh STEP BUILD_DIR WORK_DIR}
build=$(realpath -m "${2:?usage: tests/consumer/run.sh STEP BUILD_DIR WORK_DIR}")
work=$(realpath -m "${3:?usage: tests/consumer/run.sh STEP BUILD_DIR WORK_DIR}")
prefix=$work/prefix
picture=$root/models/nano/samples/demo.png
question='What is on the left?'
[ -v CXX ] || export CXX=c++
mkdir -p "$work"
library_dir() { dirname "$(find "$prefix" -name libfastvlm.so)"; }

same() {
  if [ "$2" != "$3" ]; then
    printf '%s\n  expected: %s\n  found:    %s\n' "$1" "$2" "$3" >&2
    exit 1
  fi
}

# build_examples DIRECTORY CMAKE_ARGUMENT...
build_examples() {
  local directory=$1
  shift
  rm -rf "$directory"
  cmake -S "$root/examples" -B "$directory" -G Ninja "$@"
  cmake --build "$directory"
}

# check_describe PROGRAM [MODEL]: it answers as fastvlm does.
check_describe() {
  same "$1" "$("$prefix/bin/fastvlm" describe --quiet "$picture")" "$("$1" "$picture" "${@:2}")"
}

# check_examples DIRECTORY [MODEL]
check_examples() {
  check_describe "$1/describe" "${@:2}"
  same "$1/chat" "$("$prefix/bin/fastvlm" describe --quiet --prompt "$question" "$picture")" \
    "$(printf '%s\n' "$question" | "$1/chat" "$picture" "${@:2}")"
  local error
  if error=$("$1/describe" "$work/no-such-picture.png" "${@:2}" 2>&1); then
    echo "$1/describe: no error without a picture" >&2
    exit 1
  fi
  [[ $error == "error: "*no-such-picture.png* ]] || { echo "unexpected: $error" >&2; exit 1; }
}

case $step in
  install)
    rm -rf "$prefix" "$work/installed"
    cmake --install "$build" --prefix "$work/installed" > "$work/install.log"
    mv "$work/installed" "$prefix"  # nothing in it may depend on the place
    same "installed headers" "$(ls "$root/include/fastvlm")" "$(ls "$prefix/include/fastvlm")"
    ;;
  static)
    build_examples "$work/static" -DCMAKE_PREFIX_PATH="$prefix"
    check_examples "$work/static" "$prefix/share/fastvlm/models/nano"
    ;;
  shared)
    build_examples "$work/shared" -DCMAKE_PREFIX_PATH="$prefix" -DFASTVLM_LIBRARY=shared
    check_examples "$work/shared"  # the shared library finds the model beside it
    ;;
  pkg_config)
    PKG_CONFIG_PATH=$(library_dir)/pkgconfig
    export PKG_CONFIG_PATH
    read -ra cflags <<< "$(pkg-config --cflags fastvlm)"
    read -ra libs <<< "$(pkg-config --libs fastvlm)"
    "$CXX" -std=c++20 "$root/examples/describe.cc" "${cflags[@]}" "${libs[@]}" -Wl,-rpath,"$(library_dir)" \
      -o "$work/describe"
    check_describe "$work/describe"
    ;;
  symbols) "$root/tests/consumer/check_symbols.py" "$prefix/include/fastvlm" "$(library_dir)" ;;
  snippets)
    "$root/tests/consumer/snippets.py" "$root/docs/API.md" > "$work/snippets.cc"
    "$CXX" -std=c++20 -Wall -Wextra -Werror -fsyntax-only -I "$prefix/include" "$work/snippets.cc"
    ;;
  sources)
    # What it answers is checked elsewhere. Without optimisation, and in batches, it compiles in a quarter of the time.
    build_examples "$work/sources" -DFASTVLM_SOURCE="$root" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0 \
      -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=32
    "$work/sources/describe" "$picture" "$root/models/nano"
    if grep -E '^(OPENSSL|OpenSSL|CURL|LIBZIP|HTTPLIB|CLI11)' "$work/sources/CMakeCache.txt"; then
      echo "  ^ the library alone looked for what only the program needs" >&2
      exit 1
    fi
    ;;
  *)
    echo "tests/consumer/run.sh: there is no step $step" >&2
    exit 2
    ;;
esac
