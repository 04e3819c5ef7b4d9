#include "kernels/gemm_bf16/pack.h"

#include <algorithm>
#include <cstring>

#include "base/float16.h"

namespace fastvlm {
namespace {

template <typename From, typename Convert>
void PackPairs(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
               uint16_t* panel, const Convert& convert) {
  // Slices of the depth small enough that the panel's part stays in the L1 cache while each row
  // is scattered over it. Even, so that only the last one can end within a pair.
  constexpr int64_t kSlice = 64;
  const int64_t columns = std::min(tile_n, n - column);
  const auto* bytes = static_cast<const uint8_t*>(weight);
  for (int64_t begin = 0; begin < k; begin += kSlice) {
    const int64_t depth = std::min(kSlice, k - begin);
    const int64_t padded = depth + depth % 2;
    uint16_t* to = panel + begin * tile_n;
    std::fill_n(to, padded * tile_n, uint16_t{0});
    for (int64_t j = 0; j < columns; ++j) {
      From from[kSlice];
      std::memcpy(from, bytes + ((column + j) * k + begin) * static_cast<int64_t>(sizeof(From)),
                  static_cast<size_t>(depth) * sizeof(From));
      for (int64_t p = 0; p < depth; ++p) {
        to[(p / 2 * tile_n + j) * 2 + p % 2] = convert(from[p]);
      }
    }
  }
}

}  // namespace

void PackPairsF32(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                  uint16_t* panel) {
  PackPairs<float>(weight, n, k, column, tile_n, panel, Bf16FromF32);
}

void PackPairsF16(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                  uint16_t* panel) {
  PackPairs<uint16_t>(weight, n, k, column, tile_n, panel,
                      [](uint16_t value) { return Bf16FromF32(F32FromF16(value)); });
}

void PackPairsBf16(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                   uint16_t* panel) {
  PackPairs<uint16_t>(weight, n, k, column, tile_n, panel, [](uint16_t value) { return value; });
}

}  // namespace fastvlm
