#include <algorithm>
#include <bit>
#include <cmath>

#include "base/float16.h"
#include "kernels/gemm_f16/gemm_f16.h"
#include "kernels/gemm_shared/scalar.h"

namespace fastvlm::scalar {
namespace {

constexpr int64_t kTileN = 16;  // and tiles of one row

// sum + x * w, rounded once. The product, 22 bits, is exact in f64. So is the sum, 33 bits at most,
// wherever it lies near the middle between two f16 values: there the product is no smaller than
// half their distance. Elsewhere the rounding to f64 cannot change the one to f16.
uint16_t MulAddF16(uint16_t sum, uint16_t x, uint16_t w) {
  return F16FromF64(double{F32FromF16(sum)} + double{F32FromF16(x)} * F32FromF16(w));
}

uint16_t AddF16(uint16_t a, uint16_t b) {
  return F16FromF64(double{F32FromF16(a)} + double{F32FromF16(b)});
}

}  // namespace

void GemmF16(const GemmF16Args& args) {
  for (int64_t i = 0; i < args.rows; ++i) {
    for (int64_t j = 0; j < args.columns; ++j) {
      const uint32_t* x = args.x + i * args.x_tile_stride;
      const uint16_t* w = args.weights + j / kTileN * args.panel_stride + j % kTileN;
      const float factor = args.x_factor[i] * args.w_factor[j];
      float sum = args.start[i * args.start_stride + j];
      uint16_t span = 0;
      for (int64_t run = 0; run < args.runs; ++run) {
        uint16_t part = 0;
        for (int64_t p = run * kF16Run; p < (run + 1) * kF16Run; ++p) {
          part = MulAddF16(part, static_cast<uint16_t>(x[p]), w[p * kTileN]);
        }
        span = run % kF16RunsPerSpan == 0 ? part : AddF16(part, span);
        if ((run + 1) % kF16RunsPerSpan == 0 || run + 1 == args.runs) {
          sum = std::fma(F32FromF16(span), factor, sum);
        }
      }
      Finish(args, i, j, sum);
    }
  }
}

void RoundRowsToF16(const F16RowsArgs& args) {
  for (int64_t i = 0; i < args.rows; ++i) {
    const float* x = args.x + i * args.x_stride;
    // As bits, so that NaN is above infinity.
    uint32_t largest = 0;
    for (int64_t p = 0; p < args.depth; ++p) {
      largest = std::max(largest, std::bit_cast<uint32_t>(x[p]) & 0x7fffffffu);
    }
    const uint32_t exponent = std::max(largest >> 23, uint32_t{kF16RowExponent + 1});
    args.factor[i] = std::bit_cast<float>((exponent - kF16RowExponent) << 23);
    const float scale = std::bit_cast<float>((254 + kF16RowExponent - exponent) << 23);
    uint32_t* to = args.tiles + i * args.tile_stride;
    const int64_t padded = (args.depth + kF16Run - 1) / kF16Run * kF16Run;
    for (int64_t p = 0; p < padded; ++p) {
      const uint32_t half = p < args.depth ? F16FromF32(x[p] * scale) : 0u;
      to[p] = half | half << 16;
    }
  }
}

}  // namespace fastvlm::scalar
