#include "kernels/gemm_q4/pack.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace fastvlm {
namespace {

// nibbles: [32], q + 8; scale: f16.
void StoreBlockQ4(const uint8_t* nibbles, const void* scale, int64_t column,
                  const GemmQuantizedVariant& variant, uint8_t* block) {
  constexpr int64_t kGroup = 4;
  const int64_t half_n = variant.tile_n / 2;
  const int shift = column < half_n ? 0 : 4;
  uint8_t* to = block + column % half_n * kGroup;
  for (int64_t p = 0; p < kQuantBlock; p += kGroup, to += half_n * kGroup) {
    for (int64_t i = 0; i < kGroup; ++i) to[i] |= static_cast<uint8_t>(nibbles[p + i] << shift);
  }
  std::memcpy(block + kQuantBlock * half_n + 2 * column, scale, 2);
}

void CheckLayoutQ4(const GemmQuantizedVariant& variant) {
  FASTVLM_CHECK(variant.group == 4 && variant.offset == 8);
}

}  // namespace

void PackColumnQ4(const float* w, int64_t k, int64_t column, const GemmQuantizedVariant& variant,
                  uint8_t* panel) {
  CheckLayoutQ4(variant);
  for (int64_t begin = 0; begin < k; begin += kQuantBlock, panel += variant.block_bytes) {
    int8_t q[kQuantBlock];
    const uint16_t scale = QuantizeBlockQ4(w + begin, std::min(kQuantBlock, k - begin), q);
    uint8_t nibbles[kQuantBlock];
    for (int64_t p = 0; p < kQuantBlock; ++p) nibbles[p] = static_cast<uint8_t>(q[p] + 8);
    StoreBlockQ4(nibbles, &scale, column, variant, panel);
  }
}

void PackColumnQ4Blocks(const uint8_t* stored, int64_t blocks, int64_t column,
                        const GemmQuantizedVariant& variant, uint8_t* panel) {
  CheckLayoutQ4(variant);
  for (int64_t b = 0; b < blocks; ++b, stored += kQ4BlockBytes, panel += variant.block_bytes) {
    uint8_t nibbles[kQuantBlock];
    for (int64_t i = 0; i < 16; ++i) {
      nibbles[i] = stored[2 + i] & 0xf;
      nibbles[16 + i] = stored[2 + i] >> 4;
    }
    StoreBlockQ4(nibbles, stored, column, variant, panel);
  }
}

}  // namespace fastvlm
