// Which instruction sets this CPU and operating system offer, and which the user allows.
#ifndef FASTVLM_BASE_CPU_FEATURES_H_
#define FASTVLM_BASE_CPU_FEATURES_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace fastvlm {

// Ordered: a later one is preferred where a kernel has both.
enum class Isa { kScalar, kAvx2, kAvx512, kAvx512Vnni, kAvx512Bf16, kAvx512Fp16 };

std::string_view IsaName(Isa isa);

// True if this CPU can run code of `isa`, whatever FASTVLM_ISA says. AVX2 means AVX2+FMA+F16C,
// AVX-512 means F+BW+DQ+VL, each with the operating system saving the registers; AVX-512 VNNI adds
// the dot products of bytes, AVX-512 BF16 to that those of bf16 (Cooper Lake, Sapphire Rapids, Zen
// 4), AVX-512 FP16 to that the arithmetic of f16 (Sapphire Rapids).
bool CpuSupports(Isa isa);

// The best instruction set kernels may use: the CPU's best, capped by the environment variable
// FASTVLM_ISA = scalar | avx2 | avx512 | avx512_vnni | avx512_bf16 | avx512_fp16. Read once. An
// unknown value, or one this CPU cannot run, is an error that CheckIsaEnvironment() reports; until
// then it is ignored.
Isa MaxIsa();
Status CheckIsaEnvironment();

// Replaces the cap for the rest of the process; returns the previous one. For tests only.
Isa SetMaxIsaForTesting(Isa isa);

// True if kernels may use AVX-512 BF16 and this CPU gains by it. AMD's do (Zen 4: twice the
// multiply-adds of f32). Intel's Emerald Rapids loses: `fastvlm bench --threads 1` prints 97
// GFLOP/s of bf16 beside 173 of f32; its fast bf16 is AMX.
bool HasFastBf16Products();

// True if the environment variable FASTVLM_BF16_PRODUCTS is 1: linear layers in bf16 then round
// their input to bf16 as they do with fast products of bf16, on any CPU. It is there to measure
// what that rounding loses. Read once.
bool EmulateBf16Products();

// Replaces the answer for the rest of the process; returns the previous one. For tests only.
bool SetEmulateBf16ProductsForTesting(bool emulate);

// The CPU's own name, "AMD EPYC 9R14" for example, or "unknown CPU".
std::string CpuModelName();

// CPUs in the affinity mask of this process; at least 1. Hardware threads that share a core with
// one already counted are left out.
int PhysicalCoreCount();

}  // namespace fastvlm

#endif  // FASTVLM_BASE_CPU_FEATURES_H_
