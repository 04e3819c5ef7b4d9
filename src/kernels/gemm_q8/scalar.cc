#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/float16.h"
#include "kernels/gemm_q8/gemm_q8.h"
#include "kernels/gemm_shared/scalar.h"

namespace fastvlm::scalar {
namespace {

// The layout of the avx2 variant.
constexpr int64_t kTileN = 16, kGroup = 2;
constexpr int64_t kWeightBytes = kQuantBlock * kTileN;
constexpr int64_t kBlockBytes = kWeightBytes + 2 * kTileN;

int32_t Weight(const uint8_t* block, int64_t j, int64_t p) {
  return static_cast<int8_t>(block[p / kGroup * kTileN * kGroup + j * kGroup + p % kGroup]);
}

float Scale(const uint8_t* block, int64_t j) {
  uint16_t half;
  std::memcpy(&half, block + kWeightBytes + 2 * j, sizeof(half));
  return F32FromF16(half);
}

float Sum(const GemmQuantizedArgs& args, int64_t i, int64_t j) {
  const uint8_t* panel = args.weights + j / kTileN * args.panel_stride;
  const uint8_t* x = args.x + i * args.x_stride;  // a tile is one row
  float sum = args.start[i * args.start_stride + j];
  for (int64_t b = 0; b < args.blocks; ++b) {
    const uint8_t* block = panel + b * kBlockBytes;
    const auto* q = reinterpret_cast<const int16_t*>(x);
    int32_t dot = 0;
    for (int64_t p = 0; p < kQuantBlock; ++p) {
      dot += q[p] * Weight(block, j % kTileN, p);
    }
    float x_scale;
    std::memcpy(&x_scale, x + kQuantBlock * sizeof(*q), sizeof(x_scale));
    const float scale = x_scale * Scale(block, j % kTileN);
    sum = std::fma(static_cast<float>(dot), scale, sum);
    x += kQuantBlock * sizeof(*q) + 4 + 4;
  }
  return sum;
}

}  // namespace

void GemmQ8(const GemmQuantizedArgs& args) {
  for (int64_t i = 0; i < args.rows; ++i) {
    for (int64_t j = 0; j < args.columns; ++j) Finish(args, i, j, Sum(args, i, j));
  }
}

}  // namespace fastvlm::scalar
