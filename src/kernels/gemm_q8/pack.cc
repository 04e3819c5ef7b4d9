#include "kernels/gemm_q8/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/float16.h"

namespace fastvlm {
namespace {

// q: [32], int8_t at any address; scale: f16.
template <int64_t kGroup>
void StoreGroups(const uint8_t* q, uint8_t flip, uint8_t* to, int64_t stride) {
  for (int64_t p = 0; p < kQuantBlock; p += kGroup, to += stride) {
    for (int64_t i = 0; i < kGroup; ++i) to[i] = static_cast<uint8_t>(q[p + i] ^ flip);
  }
}

void StoreBlockQ8(const uint8_t* q, const void* scale, int64_t column,
                  const GemmQuantizedVariant& variant, uint8_t* block) {
  // Modulo 256, adding 128 is flipping the highest bit.
  const auto flip = static_cast<uint8_t>(variant.offset);
  const int64_t group = variant.group;
  const int64_t stride = variant.tile_n * group;
  if (group == 4) {
    StoreGroups<4>(q, flip, block + column * 4, stride);
  } else {
    StoreGroups<2>(q, flip, block + column * 2, stride);
  }
  std::memcpy(block + kQuantBlock * variant.tile_n + 2 * column, scale, 2);
}

float ScaleOf(const uint8_t* block, int64_t column, const GemmQuantizedVariant& variant) {
  uint16_t scale;
  std::memcpy(&scale, block + kQuantBlock * variant.tile_n + 2 * column, sizeof(scale));
  return F32FromF16(scale);
}

// The values of a column of a block, times `factor`, of magnitude 1 at most.
void ScaleColumn(float factor, int64_t column, const GemmQuantizedVariant& variant,
                 uint8_t* block) {
  const auto flip = static_cast<uint8_t>(variant.offset);
  for (int64_t p = 0; p < kQuantBlock; ++p) {
    uint8_t* at = block + p / variant.group * variant.tile_n * variant.group +
                  column * variant.group + p % variant.group;
    const auto q = static_cast<float>(static_cast<int8_t>(*at ^ flip));
    *at = static_cast<uint8_t>(static_cast<int8_t>(std::nearbyint(q * factor))) ^ flip;
  }
}

void CheckLayoutQ8(const GemmQuantizedVariant& variant) {
  FASTVLM_CHECK(variant.group == 2 || variant.group == 4);
  FASTVLM_CHECK(variant.offset == 0 || variant.offset == 128);
}

}  // namespace

void PackColumnQ8(const float* w, int64_t k, int64_t column, const GemmQuantizedVariant& variant,
                  uint8_t* panel) {
  CheckLayoutQ8(variant);
  for (int64_t begin = 0; begin < k; begin += kQuantBlock, panel += variant.block_bytes) {
    int8_t q[kQuantBlock];
    const uint16_t scale = QuantizeBlockQ8(w + begin, std::min(kQuantBlock, k - begin), q);
    StoreBlockQ8(reinterpret_cast<const uint8_t*>(q), &scale, column, variant, panel);
  }
}

void PackColumnQ8Blocks(const uint8_t* stored, int64_t blocks, int64_t column,
                        const GemmQuantizedVariant& variant, uint8_t* panel) {
  CheckLayoutQ8(variant);
  for (int64_t b = 0; b < blocks; ++b, stored += kQ8BlockBytes, panel += variant.block_bytes) {
    StoreBlockQ8(stored + 2, stored, column, variant, panel);
  }
}

void ShareScalesOfPairs(int64_t blocks, int64_t count, const GemmQuantizedVariant& variant,
                        uint8_t* panel) {
  CheckLayoutQ8(variant);
  FASTVLM_CHECK(blocks % 2 == 0);
  for (int64_t b = 0; b < blocks; b += 2, panel += 2 * variant.block_bytes) {
    for (int64_t j = 0; j < count; ++j) {
      uint8_t* greater = panel;
      uint8_t* less = panel + variant.block_bytes;
      // NaN counts as the greatest.
      if (!(std::fabs(ScaleOf(less, j, variant)) <= std::fabs(ScaleOf(greater, j, variant)))) {
        std::swap(greater, less);
      }
      const float scale = ScaleOf(greater, j, variant);
      const float factor = ScaleOf(less, j, variant) / scale;
      if (factor == 1) continue;
      ScaleColumn(std::isfinite(factor) ? factor : 0.0f, j, variant, less);
      const int64_t at = kQuantBlock * variant.tile_n + 2 * j;
      std::memcpy(less + at, greater + at, 2);
    }
  }
}

}  // namespace fastvlm
