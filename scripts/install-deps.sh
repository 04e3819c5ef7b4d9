#!/usr/bin/env bash
# Installs what building and testing fastvlm needs, on Debian 12 and Ubuntu 24.04 or later.
# Safe to run again: it does nothing when everything is there. docs/DEPENDENCIES.md says why each
# package is needed.
# Usage: scripts/install-deps.sh [--program | --train] [--fuzz] [--web-tests] [--checks] [--print]
#   --program    only what the program itself needs, not its tests and checks
#   --train      also what fastvlm-train needs: libtorch, SVG and font libraries, free fonts
#   --fuzz       also what scripts/fuzz.sh needs: Clang with its fuzzer
#   --web-tests  also what the tests of the page need: a browser
#   --checks     also what .ci/run checks besides: format, clang-tidy, that the benchmarks compile
#   --print      only lists what is missing
set -euo pipefail

tests=true
train=false
web_tests=false
fuzz=false
checks=false
print_only=false
for argument in "$@"; do
  case $argument in
    --program) tests=false ;;
    --train) train=true ;;
    --fuzz) fuzz=true ;;
    --web-tests) web_tests=true ;;
    --checks) checks=true ;;
    --print) print_only=true ;;
    *)
      echo "usage: scripts/install-deps.sh [--program | --train] [--fuzz] [--web-tests] [--checks] [--print]" >&2
      exit 2
      ;;
  esac
done

packages=(
  g++ cmake ninja-build pkg-config
  libfmt-dev nlohmann-json3-dev libcli11-dev
  libutf8proc-dev
  libjpeg-dev libpng-dev libwebp-dev libgif-dev libtiff-dev libheif-dev
  libcurl4-openssl-dev libssl-dev libzip-dev libcpp-httplib-dev libboost-dev ca-certificates
)
if $tests; then
  packages+=(libgtest-dev libgmock-dev python3 python3-venv binutils curl openssl)
fi
if $fuzz; then packages+=(clang libclang-rt-dev); fi
if $checks; then packages+=(clang-format clang-tidy libbenchmark-dev git); fi
if $train; then
  packages+=(
    libtorch-dev libopenblas-pthread-dev librsvg2-dev libfreetype-dev
    fonts-cantarell fonts-comic-neue fonts-dejavu-core fonts-dejavu-extra fonts-freefont-ttf
    fonts-hack-ttf fonts-lato fonts-liberation fonts-open-sans fonts-quicksand
    fonts-roboto-unhinted
  )
  # Either fetches the art.
  command -v npm >/dev/null || packages+=(curl ca-certificates)
fi
if $web_tests; then
  packages+=(python3 python3-venv)
  # Ubuntu has Chromium as a snap only, and a chromium-browser that says so where it is missing. Any Chromium
  # or Chrome will do, named by FASTVLM_CHROMIUM.
  [ -n "${FASTVLM_CHROMIUM:-}" ] || chromium --version >/dev/null 2>&1 ||
    chromium-browser --version >/dev/null 2>&1 || packages+=(chromium)
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "install-deps.sh knows Debian and Ubuntu only. Elsewhere install the equivalents of:" >&2
  printf '  %s\n' "${packages[@]}" >&2
  exit 1
fi

# Ubuntu's libheif reads HEIC and AVIF through plugins of their own; Debian 12's has them built in.
for plugin in libheif-plugin-libde265 libheif-plugin-dav1d; do
  if apt-cache show "$plugin" >/dev/null 2>&1; then packages+=("$plugin"); fi
done

missing=()
for package in "${packages[@]}"; do
  if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
    missing+=("$package")
  fi
done
# Without a network the tests of the tokenizer on Qwen2's vocabulary are skipped.
fetch_tokenizer() {
  if $tests; then "$(dirname "$0")/fetch-qwen-tokenizer.sh" || true; fi
}

if [ ${#missing[@]} -eq 0 ]; then
  echo "All packages are installed." >&2
  if ! $print_only; then fetch_tokenizer; fi
  exit 0
fi
if $print_only; then
  printf '%s\n' "${missing[@]}"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "Root rights are needed; as root run: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing: ${missing[*]}" >&2
"${as_root[@]}" apt-get update -qq
# Without these everything else can be done all the same; their tests are left out or skipped then.
leave_out() {
  local package=$1 consequence=$2
  # Of a name that other packages merely provide, apt-cache shows nothing and succeeds.
  if [[ " ${missing[*]} " == *" $package "* ]] && [ -z "$(apt-cache show "$package" 2>/dev/null)" ]; then
    echo "This distribution has no $package: $consequence." >&2
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | grep -vx "$package")
  fi
}
leave_out libtorch-dev "fastvlm-train will not be built"
leave_out chromium "the page's tests will be skipped, unless FASTVLM_CHROMIUM names a browser"
if [ ${#missing[@]} -gt 0 ]; then
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
fetch_tokenizer
