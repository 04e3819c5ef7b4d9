#include "simd/vec_avx2.h"

#include "kernels/attention_f32/attention_f32.h"
#include "simd/math.h"

namespace fastvlm::avx2 {
constexpr int kMaxRows = 6;
constexpr int kMaxAccumulators = 12;
}  // namespace fastvlm::avx2

#include "kernels/attention_f32/generic.h"
