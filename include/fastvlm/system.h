// The machine the library runs on and what it chose for it.
#ifndef FASTVLM_SYSTEM_H_
#define FASTVLM_SYSTEM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "fastvlm/options.h"
#include "fastvlm/status.h"

namespace fastvlm {

// "0.1.0"
const char* Version();

struct KernelChoice {
  std::string kernel;   // "gemm_f32"
  std::string variant;  // "avx2_6x16"
};

struct SystemInfo {
  std::string version;  // of this library
  std::string cpu;
  std::string isa;  // best instruction set in use, as capped by FASTVLM_ISA
  int default_threads = 0;
  std::vector<KernelChoice> kernels;
};

// An error if the environment variable FASTVLM_ISA has a value that cannot be honoured.
Result<SystemInfo> GetSystemInfo();

// The fastest precision that costs no accuracy worth speaking of (docs/ACCURACY.md): q8 where there
// are kernels for it, else f32.
Precision DefaultPrecision();

// The most memory this process has held at once, bytes.
int64_t PeakMemoryBytes();

}  // namespace fastvlm

#endif  // FASTVLM_SYSTEM_H_
