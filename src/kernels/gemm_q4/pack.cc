#include "kernels/gemm_q4/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/float16.h"

namespace fastvlm {

void PackColumnQ4(const float* w, int64_t k, int64_t column, const GemmQuantizedVariant& variant,
                  uint8_t* panel) {
  const int64_t group = variant.group, half_n = variant.tile_n / 2;
  const int shift = column < half_n ? 0 : 4;
  for (int64_t begin = 0; begin < k; begin += kQuantBlock, panel += variant.block_bytes) {
    const int64_t count = std::min(kQuantBlock, k - begin);
    float extreme = 0;
    for (int64_t p = 0; p < count; ++p) {
      if (std::fabs(w[begin + p]) > std::fabs(extreme)) extreme = w[begin + p];
    }
    const uint16_t half = F16FromF32(extreme / -8);
    const float scale = F32FromF16(half);
    for (int64_t p = 0; p < kQuantBlock; ++p) {
      const float quotient = p < count && scale != 0 ? w[begin + p] / scale : 0;
      // NaN fails both comparisons of clamp and must not reach the cast.
      const float q = std::isnan(quotient) ? 0 : std::clamp(std::nearbyint(quotient), -8.0f, 7.0f);
      panel[p / group * half_n * group + column % half_n * group + p % group] |=
          static_cast<uint8_t>((static_cast<int>(q) + variant.offset) << shift);
    }
    std::memcpy(panel + kQuantBlock * half_n + 2 * column, &half, sizeof(half));
  }
}

}  // namespace fastvlm
