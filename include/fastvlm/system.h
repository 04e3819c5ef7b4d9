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
  std::string isa;  // the best instruction set that the CPU has and FASTVLM_ISA allows
  int default_threads = 0;
  std::vector<KernelChoice> kernels;
};

// An error if the environment variable FASTVLM_ISA names no instruction set, or one that this CPU
// does not have.
Result<SystemInfo> GetSystemInfo();

// The fastest precision that loses next to nothing (docs/ACCURACY.md): kQ8 where there are vector
// kernels for it, else kF32.
Precision DefaultPrecision();

// The most memory that this process has held at once, in bytes.
int64_t PeakMemoryBytes();

}  // namespace fastvlm

#endif  // FASTVLM_SYSTEM_H_
