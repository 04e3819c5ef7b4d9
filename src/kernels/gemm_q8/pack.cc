#include "kernels/gemm_q8/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/float16.h"

namespace fastvlm {

void PackColumnQ8(const float* w, int64_t k, int64_t column, const GemmQuantizedVariant& variant,
                  uint8_t* panel) {
  const int64_t group = variant.group, tile_n = variant.tile_n;
  for (int64_t begin = 0; begin < k; begin += kQuantBlock, panel += variant.block_bytes) {
    const int64_t count = std::min(kQuantBlock, k - begin);
    float max = 0;
    for (int64_t p = 0; p < count; ++p) max = std::max(max, std::fabs(w[begin + p]));
    const uint16_t half = F16FromF32(max / 127);
    const float scale = F32FromF16(half);
    for (int64_t p = 0; p < kQuantBlock; ++p) {
      const float quotient = p < count && scale > 0 ? w[begin + p] / scale : 0;
      // NaN fails both comparisons of clamp and must not reach the cast.
      const float q =
          std::isnan(quotient) ? 0 : std::clamp(std::nearbyint(quotient), -127.0f, 127.0f);
      panel[p / group * tile_n * group + column * group + p % group] =
          static_cast<uint8_t>(static_cast<int>(q) + variant.offset);
    }
    std::memcpy(panel + kQuantBlock * tile_n + 2 * column, &half, sizeof(half));
  }
}

}  // namespace fastvlm
