#include "fastvlm/system.h"

#include <sys/resource.h>

#include "base/cpu_features.h"
#include "base/status.h"
#include "ops/kernel_choices.h"

namespace fastvlm {

const char* Version() { return FASTVLM_VERSION; }

Result<SystemInfo> GetSystemInfo() {
  FASTVLM_RETURN_IF_ERROR(CheckIsaEnvironment());
  SystemInfo info;
  info.version = Version();
  info.cpu = CpuModelName();
  info.isa = IsaName(MaxIsa());
  info.default_threads = PhysicalCoreCount();
  for (const auto& [kernel, variant] : SelectedKernels())
    info.kernels.push_back({std::string(kernel), std::string(variant)});
  return info;
}

Precision DefaultPrecision() { return MaxIsa() == Isa::kScalar ? Precision::kF32 : Precision::kQ8; }

int64_t PeakMemoryBytes() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;  // Linux counts in KiB
}

}  // namespace fastvlm
