#include <algorithm>
#include <cmath>

#include "base/float16.h"
#include "kernels/gemm_bf16/gemm_bf16.h"
#include "kernels/gemm_shared/scalar.h"

namespace fastvlm::scalar {
namespace {

constexpr int64_t kTileN = 16;

float Flush(float value) {
  return std::fabs(value) < 0x1p-126f ? std::copysign(0.0f, value) : value;
}
float Widen(uint16_t bf16) { return Flush(F32FromBf16(bf16)); }

// sum[j] += x * w[2 j]: one half of VDPBF16PS on the columns of a panel.
void AddProducts(float x, const uint16_t* w, float* sum) {
  for (int64_t j = 0; j < kTileN; ++j) sum[j] = Flush(sum[j] + Flush(x * Widen(w[2 * j])));
}

}  // namespace

void GemmBf16(const GemmBf16Args& args) {
  for (int64_t column = 0; column < args.columns; column += kTileN) {
    const uint16_t* panel = args.weights + column / kTileN * args.panel_stride;
    const int64_t width = std::min(kTileN, args.columns - column);
    for (int64_t i = 0; i < args.rows; ++i) {
      const uint16_t* x = args.x + i * args.x_stride;
      float sums[kTileN];
      for (int64_t j = 0; j < kTileN; ++j) {
        sums[j] = Flush(args.start[i * args.start_stride + column + j]);
      }
      for (int64_t p = 0; p < args.pairs; ++p) {
        const uint16_t* w = panel + p * kTileN * 2;
        AddProducts(Widen(x[2 * p + 1]), w + 1, sums);
        AddProducts(Widen(x[2 * p]), w, sums);
      }
      for (int64_t j = 0; j < width; ++j) Finish(args, i, column + j, sums[j]);
    }
  }
}

void RoundToBf16(const float* x, int64_t size, uint16_t* bf16) {
  for (int64_t i = 0; i < size; ++i) bf16[i] = Bf16FromF32(Flush(x[i]));
  if (size % 2 != 0) bf16[size] = 0;
}

}  // namespace fastvlm::scalar
