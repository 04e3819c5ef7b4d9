// The machine the library runs on and what it chose for it.
#ifndef FASTVLM_SYSTEM_H_
#define FASTVLM_SYSTEM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "fastvlm/export.h"
#include "fastvlm/options.h"
#include "fastvlm/status.h"

namespace fastvlm {

// "0.1.0"
FASTVLM_EXPORT const char* Version();
// The commit of the sources, "abcdef0", or "abcdef0 with changes" if they were edited since; empty
// if they came without git.
FASTVLM_EXPORT const char* Commit();

struct KernelChoice {
  std::string kernel;   // "gemm_f32"
  std::string variant;  // "avx2_6x16"
};

struct SystemInfo {
  std::string version;  // of this library
  std::string commit;   // of its sources, as Commit() has it
  std::string cpu;
  std::string isa;  // the best instruction set that the CPU has and FASTVLM_ISA allows
  int default_threads = 0;
  std::vector<KernelChoice> kernels;
};

// An error if the environment variable FASTVLM_ISA names no instruction set, or one that this CPU
// does not have.
FASTVLM_EXPORT Result<SystemInfo> GetSystemInfo();

// The fastest precision that loses next to nothing (docs/ACCURACY.md): kQ8 where there are vector
// kernels for it, else kF32.
FASTVLM_EXPORT Precision DefaultPrecision();

// Directory of the small model that is installed with the library and its program:
// ../share/fastvlm/models/nano, seen from the directory of libfastvlm.so, or from the directory of
// the program that the static library is linked into. The build tree has a link there to the
// sources' models/. kNotFound says where it was looked for.
FASTVLM_EXPORT Result<std::string> FindBundledModel();

// The most memory that this process has held at once, in bytes.
FASTVLM_EXPORT int64_t PeakMemoryBytes();

}  // namespace fastvlm

#endif  // FASTVLM_SYSTEM_H_
