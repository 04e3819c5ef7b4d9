// Common to the vector headers vec_<isa>.h. Each of them defines, in namespace fastvlm::<isa>, a
// vector F32 of kLanes floats and the same operations on it, and FASTVLM_SIMD as the name of that
// namespace, so that one body (a kernel's generic.h) serves every instruction set.
//
// A file compiled for one instruction set includes exactly one vector header. Everything here and
// there is static and always inlined: no symbol may leave such a file except the kernels it
// defines.
//
// Notes that hold for all: Min(a, b) and Max(a, b) return b if either is NaN. MulAdd(a, b, c) is
// a * b + c with one rounding. The Partial forms touch only the first n of kLanes elements, 0 <= n;
// n >= kLanes means all; LoadPartial sets the others to zero.
#ifndef FASTVLM_SIMD_SIMD_H_
#define FASTVLM_SIMD_SIMD_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#define FASTVLM_INLINE static inline __attribute__((always_inline, unused))

namespace fastvlm {

// Asks for the cache line of p, which may be any address, into the first or second level of cache.
FASTVLM_INLINE void Prefetch(const void* p) { __builtin_prefetch(p); }
FASTVLM_INLINE void PrefetchToL2(const void* p) { __builtin_prefetch(p, 0, 2); }

}  // namespace fastvlm

#endif  // FASTVLM_SIMD_SIMD_H_
