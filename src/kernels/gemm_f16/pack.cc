#include "kernels/gemm_f16/pack.h"

#include <algorithm>
#include <bit>

#include "base/float16.h"
#include "kernels/gemm_f16/args.h"

namespace fastvlm {
namespace {

float ToBf16(float value) { return F32FromBf16(Bf16FromF32(value)); }

// Returns what a column of the weights is multiplied with, and sets what undoes it.
float ColumnScale(const float* w, int64_t k, float& factor) {
  uint32_t largest = 0;  // as bits, so that NaN is above infinity
  for (int64_t p = 0; p < k; ++p) {
    largest = std::max(largest, std::bit_cast<uint32_t>(ToBf16(w[p])) & 0x7fffffffu);
  }
  const uint32_t exponent = std::max(largest >> 23, uint32_t{kF16ColumnExponent + 1});
  factor = std::bit_cast<float>((exponent - kF16ColumnExponent) << 23);
  return std::bit_cast<float>((254 + kF16ColumnExponent - exponent) << 23);
}

}  // namespace

void PackF16(const float* weight, int64_t columns, int64_t k, int64_t tile_n, uint16_t* panel,
             float* factor) {
  const int64_t padded = (k + kF16Group - 1) / kF16Group * kF16Group;
  std::fill_n(panel, padded * tile_n, uint16_t{0});
  std::fill_n(factor, tile_n, 0.0f);
  for (int64_t j = 0; j < columns; ++j) {
    const float* w = weight + j * k;
    const float scale = ColumnScale(w, k, factor[j]);
    for (int64_t p = 0; p < k; ++p) panel[p * tile_n + j] = F16FromF32(ToBf16(w[p]) * scale);
  }
}

}  // namespace fastvlm
