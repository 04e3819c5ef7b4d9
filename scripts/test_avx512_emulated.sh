#!/usr/bin/env bash
# Runs a test program on an emulated CPU with AVX-512, for machines that have none:
# boots Debian's kernel in Bochs, runs the program as the only process, prints what
# it prints and exits with its exit code. Debian 12 (amd64); needs no root, except
# for --install. Downloads the kernel package once.
#
#   scripts/test_avx512_emulated.sh build/release/bin/kernel_rms_norm_test --gtest_filter='*avx512*'
#
# Debian 12's Bochs does not know AVX512_BF16, but Debian 13's does: scripts/fetch_bochs.sh
# unpacks that one without installing it, and --bochs uses it. Neither knows AVX512_FP16.
#
# The program sees one CPU that runs a few ten million instructions per second, so choose
# small tests. The libraries of the program, the variables FASTVLM_* and GTEST_*, and the path of
# the working directory exist in the emulated machine; other files do only if --file names them.
set -euo pipefail

readonly kMissing=2 kNoTests=3 kTimedOut=124 kMachineFailed=125
readonly kPackages=(bochs bochs-term bochsbios vgabios isolinux syslinux-common genisoimage
  busybox-static cpio)
readonly kBios=usr/share/bochs/BIOS-bochs-latest
readonly kVgaBios=usr/share/vgabios/vgabios.bin
readonly kIsolinux=/usr/lib/ISOLINUX/isolinux.bin
readonly kIsolinuxCore=/usr/lib/syslinux/modules/bios/ldlinux.c32
readonly kRequiredFlags=(avx512f avx512bw avx512dq avx512vl)
# Emulated instructions per emulated second. This is near Bochs's real speed, so that the times
# that a program measures inside are roughly those of a clock outside.
readonly kInstructionsPerSecond=40000000
# The CPU features that Bochs 2.7 gets wrong are hidden from Linux, by Linux's numbers for them.
# Linux would give up all of AVX because of these:
#   321 xsavec, 323 xsaves: Bochs reports too large a size of the compacted state;
#   515 pku, 516 ospke:     its newer models report a PKRU state of size 0.
# And it would overwrite its own code because of this:
#   580 fsrm:               the newer models report it without erms, and Linux's
#                           memmove takes the one to imply the other.
readonly kHiddenFeatures=321,323,515,516,580

keep=0 timeout_seconds=1200 cpu_model=corei7_skylake_x memory_mb=512 install=0
bochs_root=/
files=() bochs=(bochs-bin)
work='' bochs_pid=''

Usage() {
  cat <<EOF
usage: ${0##*/} [options] TEST_PROGRAM [arguments...]
  --cpu MODEL        corei7_skylake_x (default), or corei7_icelake_u or tigerlake, which add VNNI,
                     or sapphire_rapids (Bochs 3.0), which adds BF16
  --bochs DIR        use the Bochs below DIR, where scripts/fetch_bochs.sh unpacked it
  --timeout SECONDS  of real time, boot included (default $timeout_seconds)
  --memory MB        of the emulated machine (default $memory_mb)
  --file PATH        also copy this file or folder, to the same absolute path; repeatable
  --keep             keep the work folder (logs, boot image) and print its name
  --install          first install missing packages: sudo apt-get install ...
exit code: the program's; or $kMissing bad usage or missing package, $kNoTests the program ran no test,
  $kTimedOut timeout, $kMachineFailed the emulated machine failed or has no AVX-512
EOF
}

Fail() {
  local code=$1
  shift
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit "$code"
}

Log() { printf '[emulator] %s\n' "$*" >&2; }

# shellcheck disable=SC2317  # called by trap
Cleanup() {
  # Bochs answers SIGTERM only between emulated instructions, if at all.
  if [[ -n $bochs_pid ]]; then
    kill -KILL "$bochs_pid" 2>/dev/null || true
    wait "$bochs_pid" 2>/dev/null || true
  fi
  if [[ -z $work ]]; then return; fi
  if ((keep)); then Log "work folder: $work"; else rm -rf -- "$work"; fi
}

ParseArguments() {
  while (($#)); do
    case $1 in
      --cpu | --bochs | --timeout | --memory | --file)
        (($# >= 2)) || Fail $kMissing "$1 needs a value"
        case $1 in
          --cpu) cpu_model=$2 ;;
          --bochs) bochs_root=$2 ;;
          --timeout) timeout_seconds=$2 ;;
          --memory) memory_mb=$2 ;;
          --file) files+=("$2") ;;
        esac
        shift 2
        ;;
      --keep) keep=1; shift ;;
      --install) install=1; shift ;;
      -h | --help) Usage; exit 0 ;;
      -*) Usage >&2; Fail $kMissing "unknown option $1" ;;
      *) break ;;
    esac
  done
  (($#)) || { Usage >&2; exit $kMissing; }
  [[ $timeout_seconds =~ ^[1-9][0-9]*$ ]] ||
    Fail $kMissing "--timeout: expected seconds, found '$timeout_seconds'"
  [[ $memory_mb =~ ^[1-9][0-9]{2,3}$ && $memory_mb -ge 256 && $memory_mb -le 3072 ]] ||
    Fail $kMissing "--memory: expected 256 to 3072, found '$memory_mb'"
  [[ -f $1 && -x $1 ]] || Fail $kMissing "$1: not an executable file"
  local file
  for file in ${files[@]+"${files[@]}"}; do
    [[ -e $file ]] || Fail $kMissing "--file $file: no such file"
  done
  bochs_root=$(realpath -- "$bochs_root")
  if [[ $bochs_root != / ]]; then UseBochsBelow "$bochs_root"; fi
  program=$(realpath -- "$1")
  shift
  arguments=("$@")
}

# A Bochs that is not installed runs with the C library and the plugins unpacked with it.
UseBochsBelow() {
  local lib=$1/usr/lib/x86_64-linux-gnu
  [[ -x $1/usr/bin/bochs-bin && -x $lib/ld-linux-x86-64.so.2 ]] ||
    Fail $kMissing "--bochs $1: no Bochs there; scripts/fetch_bochs.sh $1 unpacks one"
  bochs=(env "LTDL_LIBRARY_PATH=$lib/bochs/plugins" "BXSHARE=$1/usr/share/bochs"
    "$lib/ld-linux-x86-64.so.2" --library-path "$lib:$lib/pulseaudio" "$1/usr/bin/bochs-bin")
}

CheckPackages() {
  local package missing=()
  for package in "${kPackages[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      missing+=("$package")
  done
  if ((${#missing[@]} && install)); then
    local sudo=sudo
    if ((EUID == 0)); then sudo=; fi
    $sudo apt-get install -y --no-install-recommends "${missing[@]}" >&2 ||
      Fail $kMissing "could not install ${missing[*]}"
  elif ((${#missing[@]})); then
    Fail $kMissing "packages are missing; add --install, or run:
  sudo apt-get install --no-install-recommends ${missing[*]}"
  fi
  local file
  for file in "$bochs_root/$kBios" "$bochs_root/$kVgaBios" "$kIsolinux" "$kIsolinuxCore"; do
    [[ -r $file ]] || Fail $kMissing "$file is missing although its package is installed"
  done
  local models
  models=$("${bochs[@]}" --help cpu 2>&1 </dev/null) || true
  grep -qx -- "$cpu_model" <<<"$models" ||
    Fail $kMissing "--cpu $cpu_model: unknown to Bochs; 'bochs-bin --help cpu' lists its models"
}

# Sets `kernel`. The cached one is used as long as it lies there.
FindKernel() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/fastvlm-emulate
  kernel=$cache/vmlinuz
  if [[ -s $kernel ]]; then return; fi
  local package
  package=$(apt-cache depends linux-image-cloud-amd64 |
    sed -n 's/^ *Depends: *\(linux-image-[^ ]*\)$/\1/p' | head -n 1)
  [[ -n $package ]] ||
    Fail $kMissing "apt knows no package linux-image-cloud-amd64; run: sudo apt-get update"
  Log "downloading $package"
  mkdir -p "$cache" "$work/kernel"
  (cd "$work/kernel" && apt-get download "$package" && dpkg -x ./*.deb .) >"$work/download.log" 2>&1 ||
    Fail $kMissing "could not fetch $package:
$(tail -n 5 "$work/download.log")"
  cp "$work"/kernel/boot/vmlinuz-* "$work/vmlinuz"
  mv "$work/vmlinuz" "$kernel"
  rm -rf "$work/kernel"
}

# Lists the shared libraries of `program`, the loader included.
Libraries() {
  local listing
  listing=$(ldd "$program" 2>&1) || {
    [[ $listing == *"not a dynamic executable"* ]] && return
    Fail $kMissing "$program: ldd failed: $listing"
  }
  [[ $listing != *"not found"* ]] || Fail $kMissing "$program: a library is missing:
$listing"
  sed -nE 's/^(.*=> )?[[:space:]]*(\/[^ ]+) \(0x[0-9a-f]+\)$/\2/p' <<<"$listing"
}

# The first process. It speaks to us over the second serial port, so that kernel
# messages (first port) never mix with what the program prints.
WriteInit() {
  local name argument
  echo '#!/bin/busybox sh'
  echo "/bin/busybox mount -t devtmpfs dev /dev
exec </dev/null
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp TERM=dumb
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/shm && mount -t tmpfs shm /dev/shm
ip link set lo up
stty -F /dev/ttyS1 raw 115200
exec >/dev/ttyS1 2>&1"
  for name in ${!FASTVLM_@} ${!GTEST_@}; do echo "export $name=${!name@Q}"; done
  echo "cd ${PWD@Q}
echo $marker flags \$(grep -m 1 ^flags /proc/cpuinfo)
echo $marker begin \$(cut -d ' ' -f 1 /proc/uptime)"
  printf '%s' "${program@Q}"
  for argument in ${arguments[@]+"${arguments[@]}"}; do printf ' %s' "${argument@Q}"; done
  echo "
echo $marker end \$? \$(cut -d ' ' -f 1 /proc/uptime)
sleep 1000000"
}

BuildBootImage() {
  local root=$work/root iso=$work/iso path
  mkdir -p "$root"/{bin,proc,sys,dev,tmp} "$root/$PWD" "$root/$(dirname "$program")" "$iso"
  chmod 1777 "$root/tmp"
  cp /bin/busybox "$root/bin/"
  # Debug information only makes the boot longer.
  strip --strip-debug -o "$root$program" "$program" 2>/dev/null || cp "$program" "$root$program"
  Libraries >"$work/libraries"
  while read -r path; do
    mkdir -p "$root$(dirname "$path")"
    cp -L "$path" "$root$path"
  done <"$work/libraries"
  for path in ${files[@]+"${files[@]}"}; do
    path=$(realpath -s -- "$path")
    mkdir -p "$root$(dirname "$path")"
    cp -RL "$path" "$root$(dirname "$path")/"
  done
  WriteInit >"$root/init"
  chmod 755 "$root/init"
  (cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$iso/initrd.gz"
  cp "$kernel" "$iso/vmlinuz"
  cp "$kIsolinux" "$kIsolinuxCore" "$iso/"
  # The TSC's rate is given because these models report that of the real CPU.
  cat >"$iso/isolinux.cfg" <<EOF
DEFAULT linux
PROMPT 0
TIMEOUT 0
LABEL linux
 KERNEL vmlinuz
 APPEND initrd=initrd.gz console=ttyS0,115200 loglevel=4 panic=-1 acpi=off nosmp nokaslr mitigations=off clearcpuid=$kHiddenFeatures tsc_early_khz=$((kInstructionsPerSecond / 1000)) tsc=reliable cryptomgr.notests
EOF
  genisoimage -quiet -o "$work/boot.iso" -b isolinux.bin -c boot.cat -no-emul-boot \
    -boot-load-size 4 -boot-info-table "$iso"
}

StartBochs() {
  # Sound is off because Bochs aborts on a machine without a sound card.
  cat >"$work/bochsrc" <<EOF
config_interface: textconfig
display_library: term
romimage: file=$bochs_root/$kBios
vgaromimage: file=$bochs_root/$kVgaBios
cpu: model=$cpu_model, count=1, ips=$kInstructionsPerSecond, reset_on_triple_fault=0
megs: $memory_mb
clock: sync=none
ata0-master: type=cdrom, path="$work/boot.iso", status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev="$work/console"
com2: enabled=1, mode=file, dev="$work/output"
sound: driver=dummy
log: "$work/bochs.log"
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
EOF
  echo c >"$work/debugger_commands"  # Debian's Bochs starts in its debugger: continue
  : >"$work/output"
  TERM=xterm nice "${bochs[@]}" -q -f "$work/bochsrc" -rc "$work/debugger_commands" \
    </dev/null >"$work/bochs.out" 2>&1 &
  bochs_pid=$!
}

MachineFailed() {
  local code=$1
  shift
  Log "last lines of the kernel, then of Bochs:"
  tail -n 30 "$work/console" 2>/dev/null | tr -d '\r' >&2 || true
  tail -n 4 "$work/bochs.out" >&2 || true
  Fail "$code" "$@"
}

CheckFlags() {
  local flag
  Log "CPU $cpu_model, $1"
  for flag in "${kRequiredFlags[@]}"; do
    [[ " $1 " == *" $flag "* ]] || MachineFailed $kMachineFailed "the kernel offers no $flag"
  done
}

# Handles one whole line of the second serial port. Sets exit_code at the end.
HandleLine() {
  local line=$1
  case $line in
    "$marker flags "*) CheckFlags "${line#"$marker flags "}" ;;
    "$marker begin "*)
      begin=${line##* }
      Log "booted in $((SECONDS - started)) s (its own clock: $begin s)"
      ;;
    *"$marker end "*)
      local prefix=${line%%"$marker end "*} code end
      if [[ -n $prefix ]]; then printf '%s\n' "$prefix"; fi
      read -r code end <<<"${line##*"$marker end "}"
      Log "exit code $code after $((SECONDS - started)) s (boot to end by its own clock: $begin to $end s)"
      exit_code=$code
      ;;
    *)
      if [[ $line == "[==========] Running 0 tests"* ]]; then no_tests=1; fi
      printf '%s\n' "$line"
      ;;
  esac
}

WaitForEnd() {
  local chunk partial=
  exec 3<"$work/output"
  while [[ -z $exit_code ]]; do
    if IFS= read -r chunk <&3; then
      HandleLine "$partial$chunk"
      partial=
      continue
    fi
    partial+=$chunk
    kill -0 "$bochs_pid" 2>/dev/null || MachineFailed $kMachineFailed "Bochs ended before the program did"
    ((SECONDS - started < timeout_seconds)) || MachineFailed $kTimedOut "no end after $timeout_seconds s"
    sleep 0.2
  done
}

ParseArguments "$@"
CheckPackages
trap Cleanup EXIT
trap 'exit 130' INT TERM HUP
work=$(mktemp -d -t fastvlm-emulate.XXXXXX)
marker="@emulated-$RANDOM$RANDOM"
exit_code='' no_tests=0 begin=''
started=$SECONDS
FindKernel
BuildBootImage
StartBochs
WaitForEnd
if ((no_tests)) && [[ $exit_code == 0 ]]; then Fail $kNoTests "the program ran no test; check the filter"; fi
exit "$exit_code"
