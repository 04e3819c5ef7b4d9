#include <algorithm>

#include "base/float16.h"
#include "kernels/gemm_f32/gemm_f32.h"
#include "kernels/gemm_shared/scalar.h"

namespace fastvlm::scalar {
namespace {

constexpr int64_t kTileN = 16;

float Widen(float value) { return value; }
float Widen(uint16_t value) { return F32FromBf16(value); }

template <typename Weight>
void Gemm(const GemmF32Args& args) {
  for (int64_t column = 0; column < args.columns; column += kTileN) {
    const Weight* panel =
        static_cast<const Weight*>(args.weights) + column / kTileN * args.panel_stride;
    const int64_t width = std::min(kTileN, args.columns - column);
    for (int64_t i = 0; i < args.rows; ++i) {
      float sums[kTileN];
      for (int64_t j = 0; j < kTileN; ++j) sums[j] = args.start[i * args.start_stride + column + j];
      for (int64_t p = 0; p < args.depth; ++p) {
        const float x = args.x[i * args.x_stride + p];
        for (int64_t j = 0; j < kTileN; ++j) sums[j] += x * Widen(panel[p * kTileN + j]);
      }
      for (int64_t j = 0; j < width; ++j) Finish(args, i, column + j, sums[j]);
    }
  }
}

}  // namespace

void GemmF32(const GemmF32Args& args) { Gemm<float>(args); }
void GemmF32Bf16(const GemmF32Args& args) { Gemm<uint16_t>(args); }

void GemmF32Widen(const uint16_t* bf16, int64_t size, float* f32) {
  for (int64_t i = 0; i < size; ++i) f32[i] = F32FromBf16(bf16[i]);
}

}  // namespace fastvlm::scalar
