#include "simd/vec_avx512.h"

#include "kernels/attention_f32/attention_f32.h"
#include "simd/math.h"

namespace fastvlm::avx512 {
constexpr int kMaxRows = 12;
constexpr int kMaxAccumulators = 24;
}  // namespace fastvlm::avx512

#include "kernels/attention_f32/generic.h"
