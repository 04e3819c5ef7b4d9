#include "fastvlm/system.h"

#include <sys/resource.h>

#include <bit>

#include "base/cpu_features.h"
#include "base/file.h"
#include "base/status.h"
#include "ops/kernel_choices.h"

namespace fastvlm {

Result<SystemInfo> GetSystemInfo() {
  FASTVLM_RETURN_IF_ERROR(CheckIsaEnvironment());
  SystemInfo info;
  info.version = Version();
  info.commit = Commit();
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

Status WriteNpy(const std::string& path, int64_t rows, int64_t columns, const float* values) {
  static_assert(std::endian::native == std::endian::little, "the header below says little endian");
  // Format 1.0: magic, header length, a Python dict padded so that the data starts at a multiple
  // of 64.
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  constexpr size_t kPrefix = 10;
  header.append(63 - (kPrefix + header.size()) % 64, ' ');
  header += '\n';
  std::string prefix("\x93NUMPY\x01\x00", 8);
  prefix += static_cast<char>(header.size() & 0xff);
  prefix += static_cast<char>(header.size() >> 8);
  prefix += header;
  const std::span<const uint8_t> parts[] = {
      {reinterpret_cast<const uint8_t*>(prefix.data()), prefix.size()},
      {reinterpret_cast<const uint8_t*>(values),
       static_cast<size_t>(rows * columns) * sizeof(float)}};
  return WriteFileAtomically(path, parts);
}

}  // namespace fastvlm
