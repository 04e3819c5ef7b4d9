// Which instruction sets this CPU and operating system offer, and which the user allows.
#ifndef FASTVLM_BASE_CPU_FEATURES_H_
#define FASTVLM_BASE_CPU_FEATURES_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace fastvlm {

// In this order: where a kernel has variants for several of them, the latest one is preferred.
enum class Isa { kScalar, kAvx2, kAvx512, kAvx512Vnni, kAvx512Bf16, kAvx512Fp16 };

std::string_view IsaName(Isa isa);

// True if this CPU can run code of `isa`, whatever FASTVLM_ISA says, and the operating system saves
// the registers that such code uses. kAvx2 stands for AVX2, FMA and F16C together, kAvx512 for the
// parts F, BW, DQ and VL. Each of the last three includes the one before it: AVX-512 VNNI adds dot
// products of bytes, AVX-512 BF16 adds dot products of bf16 (Cooper Lake, Sapphire Rapids, Zen 4),
// and AVX-512 FP16 adds the arithmetic of f16 (Sapphire Rapids).
bool CpuSupports(Isa isa);

// The best instruction set that kernels may use. It is the best one of the CPU unless the
// environment variable FASTVLM_ISA caps it: scalar, avx2, avx512, avx512_vnni, avx512_bf16 or
// avx512_fp16. The variable is read once. A value that is unknown, or that this CPU cannot run, is
// ignored here; CheckIsaEnvironment() reports it as an error.
Isa MaxIsa();
Status CheckIsaEnvironment();

// Replaces the cap for the rest of the process; returns the previous one. For tests only.
Isa SetMaxIsaForTesting(Isa isa);

// True if kernels may use AVX-512 BF16 and this CPU gains by it. AMD's CPUs do: Zen 4 makes twice
// as many multiply-adds in bf16 as in f32. Intel's Emerald Rapids loses by it, since its fast
// products of bf16 are those of AMX: `fastvlm bench --threads 1` prints 97 GFLOP/s of bf16 beside
// 173 of f32.
bool HasFastBf16Products();

// True if the environment variable FASTVLM_BF16_PRODUCTS, which is read once, is 1. Linear layers
// in bf16 then round their input to bf16 on any CPU, as they otherwise do only where products of
// bf16 are fast. It is there to measure what that rounding loses.
bool EmulateBf16Products();

// Replaces the answer for the rest of the process; returns the previous one. For tests only.
bool SetEmulateBf16ProductsForTesting(bool emulate);

// The CPU's own name, "AMD EPYC 9R14" for example, or "unknown CPU".
std::string CpuModelName();

// How many cores this process may run on, at least 1. Hardware threads that share a core count as
// one.
int PhysicalCoreCount();

}  // namespace fastvlm

#endif  // FASTVLM_BASE_CPU_FEATURES_H_
