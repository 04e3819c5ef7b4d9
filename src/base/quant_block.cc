#include "base/quant_block.h"

#include <algorithm>
#include <cmath>

#include "base/float16.h"

namespace fastvlm {
namespace {

void Divide(const float* x, int64_t count, float scale, float low, float high, int8_t* q) {
  std::fill_n(q, kQuantBlock, int8_t{0});
  if (scale == 0 || std::isnan(scale)) return;
  for (int64_t p = 0; p < count; ++p) {
    const float quotient = x[p] / scale;
    // NaN fails both comparisons of clamp and must not reach the cast.
    const float rounded =
        std::isnan(quotient) ? 0 : std::clamp(std::nearbyint(quotient), low, high);
    q[p] = static_cast<int8_t>(rounded);
  }
}

}  // namespace

uint16_t QuantizeBlockQ8(const float* x, int64_t count, int8_t* q) {
  float max = 0;
  for (int64_t p = 0; p < count; ++p) max = std::max(max, std::fabs(x[p]));
  const uint16_t scale = F16FromF32(max / 127);
  Divide(x, count, F32FromF16(scale), -127, 127, q);
  return scale;
}

uint16_t QuantizeBlockQ4(const float* x, int64_t count, int8_t* q) {
  float extreme = 0;
  for (int64_t p = 0; p < count; ++p) {
    if (std::fabs(x[p]) > std::fabs(extreme)) extreme = x[p];
  }
  const uint16_t scale = F16FromF32(extreme / -8);
  Divide(x, count, F32FromF16(scale), -8, 7, q);
  return scale;
}

}  // namespace fastvlm
