#include "base/cpu_features.h"

#include <sched.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>

#include "base/check.h"

namespace fastvlm {
namespace {

#if defined(__x86_64__)
// Clang 14's __builtin_cpu_supports does not know "f16c".
bool HasF16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

#if defined(__x86_64__)
// Compilers that cannot build for it do not know the name either.
bool HasAvx512Fp16() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & 1u << 23) != 0;
}
#endif

bool IsAmd() {
#if defined(__x86_64__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(0, &eax, &ebx, &ecx, &edx) != 0 && ebx == signature_AMD_ebx &&
         ecx == signature_AMD_ecx && edx == signature_AMD_edx;
#else
  return false;
#endif
}

constexpr Isa kAllIsas[] = {Isa::kScalar,     Isa::kAvx2,       Isa::kAvx512,
                            Isa::kAvx512Vnni, Isa::kAvx512Bf16, Isa::kAvx512Fp16};

Isa BestOfCpu() {
  Isa best = Isa::kScalar;
  for (Isa isa : kAllIsas) {
    if (CpuSupports(isa)) best = isa;
  }
  return best;
}

struct IsaChoice {
  Isa isa;
  Status status;
};

IsaChoice ReadEnvironment() {
  const Isa best = BestOfCpu();
  const char* value = std::getenv("FASTVLM_ISA");
  if (value == nullptr || *value == '\0') return {best, {}};
  for (Isa isa : kAllIsas) {
    if (IsaName(isa) != value) continue;
    if (CpuSupports(isa)) return {isa, {}};
    return {best, Error(StatusCode::kUnsupported,
                        "FASTVLM_ISA={}: this CPU ({}) cannot run it; its best is {}", value,
                        CpuModelName(), IsaName(best))};
  }
  return {best, Error(StatusCode::kInvalidArgument,
                      "FASTVLM_ISA={}: unknown instruction set; expected scalar, avx2, avx512, "
                      "avx512_vnni, avx512_bf16 or avx512_fp16",
                      value)};
}

IsaChoice& Choice() {
  static IsaChoice choice = ReadEnvironment();
  return choice;
}

bool& EmulateBf16() {
  static bool emulate = [] {
    const char* value = std::getenv("FASTVLM_BF16_PRODUCTS");
    return value != nullptr && std::string_view(value) == "1";
  }();
  return emulate;
}

}  // namespace

std::string_view IsaName(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Vnni:
      return "avx512_vnni";
    case Isa::kAvx512Bf16:
      return "avx512_bf16";
    case Isa::kAvx512Fp16:
      return "avx512_fp16";
  }
  FASTVLM_CHECK(false);
}

bool CpuSupports(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return true;
#if defined(__x86_64__)
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && HasF16c();
    case Isa::kAvx512:
      return CpuSupports(Isa::kAvx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl");
    case Isa::kAvx512Vnni:
      return CpuSupports(Isa::kAvx512) && __builtin_cpu_supports("avx512vnni");
    case Isa::kAvx512Bf16:
      return CpuSupports(Isa::kAvx512Vnni) && __builtin_cpu_supports("avx512bf16");
    case Isa::kAvx512Fp16:
      return CpuSupports(Isa::kAvx512Bf16) && HasAvx512Fp16();
#endif
    default:
      return false;
  }
}

Isa MaxIsa() { return Choice().isa; }

Status CheckIsaEnvironment() { return Choice().status; }

Isa SetMaxIsaForTesting(Isa isa) {
  FASTVLM_CHECK(CpuSupports(isa));
  return std::exchange(Choice().isa, isa);
}

bool HasFastBf16Products() {
  static const bool is_amd = IsAmd();
  return is_amd && MaxIsa() >= Isa::kAvx512Bf16;
}

bool EmulateBf16Products() { return EmulateBf16(); }

bool SetEmulateBf16ProductsForTesting(bool emulate) {
  return std::exchange(EmulateBf16(), emulate);
}

std::string CpuModelName() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  while (std::getline(info, line)) {
    if (!line.starts_with("model name")) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown CPU";
}

int PhysicalCoreCount() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return 1;
  std::set<std::string> cores;  // the list of sibling threads names a core
  int without_topology = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    std::ifstream file(
        fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
    std::string siblings;
    if (std::getline(file, siblings)) {
      cores.insert(siblings);
    } else {
      ++without_topology;
    }
  }
  return std::max(1, static_cast<int>(cores.size()) + without_topology);
}

}  // namespace fastvlm
