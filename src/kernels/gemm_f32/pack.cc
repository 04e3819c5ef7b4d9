#include "kernels/gemm_f32/pack.h"

#include <algorithm>
#include <cstring>

#include "base/float16.h"

namespace fastvlm {
namespace {

template <typename From, typename To, typename Convert>
void PackPanel(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n, To* panel,
               const Convert& convert) {
  // Slices of the depth small enough that the panel's part stays in the L1 cache while each row
  // is scattered over it.
  constexpr int64_t kSlice = 64;
  const int64_t rows = std::min(tile_n, n - column);
  const auto* bytes = static_cast<const uint8_t*>(weight);
  for (int64_t begin = 0; begin < k; begin += kSlice) {
    const int64_t depth = std::min(kSlice, k - begin);
    To* to = panel + begin * tile_n;
    for (int64_t j = 0; j < rows; ++j) {
      From from[kSlice];
      std::memcpy(from, bytes + ((column + j) * k + begin) * static_cast<int64_t>(sizeof(From)),
                  static_cast<size_t>(depth) * sizeof(From));
      for (int64_t p = 0; p < depth; ++p) to[p * tile_n + j] = convert(from[p]);
    }
    for (int64_t j = rows; j < tile_n; ++j) {
      for (int64_t p = 0; p < depth; ++p) to[p * tile_n + j] = To{};
    }
  }
}

}  // namespace

void PackPanelF32(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                  float* panel) {
  PackPanel<float>(weight, n, k, column, tile_n, panel, [](float value) { return value; });
}

void PackPanelF16ToF32(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                       float* panel) {
  PackPanel<uint16_t>(weight, n, k, column, tile_n, panel, F32FromF16);
}

void PackPanelF32ToBf16(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                        uint16_t* panel) {
  PackPanel<float>(weight, n, k, column, tile_n, panel, Bf16FromF32);
}

void PackPanelF16ToBf16(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                        uint16_t* panel) {
  PackPanel<uint16_t>(weight, n, k, column, tile_n, panel,
                      [](uint16_t value) { return Bf16FromF32(F32FromF16(value)); });
}

void PackPanelBf16(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                   uint16_t* panel) {
  PackPanel<uint16_t>(weight, n, k, column, tile_n, panel, [](uint16_t value) { return value; });
}

}  // namespace fastvlm
