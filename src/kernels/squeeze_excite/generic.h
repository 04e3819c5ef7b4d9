// The body for every vector instruction set; an <isa>.cc includes it after its vector header.
#include "kernels/squeeze_excite/squeeze_excite.h"

namespace fastvlm::FASTVLM_SIMD {
namespace {

constexpr int64_t kMeanPixels = 16;

FASTVLM_INLINE float Dot(const float* a, const float* b, int64_t size) {
  F32 sum[4] = {Zero(), Zero(), Zero(), Zero()};
  int64_t j = 0;
  for (; j + 4 * kLanes <= size; j += 4 * kLanes) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      sum[v] = MulAdd(Load(a + j + v * kLanes), Load(b + j + v * kLanes), sum[v]);
    }
  }
  for (; j < size; j += kLanes) {
    sum[0] = MulAdd(LoadPartial(a + j, size - j), LoadPartial(b + j, size - j), sum[0]);
  }
  return ReduceAdd(Add(Add(sum[0], sum[1]), Add(sum[2], sum[3])));
}

}  // namespace

void ChannelMean(const float* x, int64_t pixels, int64_t channels, int64_t stride, float* mean) {
  const F32 count = Set(static_cast<float>(pixels));
  for (int64_t c = 0; c < channels; c += kLanes) {
    const ptrdiff_t lanes = channels - c;
    F32 total = Zero();
    for (int64_t begin = 0; begin < pixels; begin += kMeanPixels) {
      const int64_t end = begin + kMeanPixels < pixels ? begin + kMeanPixels : pixels;
      F32 sum = Zero();
      for (int64_t p = begin; p < end; ++p) {
        sum = Add(sum, LoadPartial(x + p * stride + c, lanes));
      }
      total = Add(total, sum);
    }
    StorePartial(mean + c, lanes, Div(total, count));
  }
}

void ExciteRows(const float* weight, const float* bias, const float* in, int64_t rows,
                int64_t columns, SqueezeExciteActivation activation, float* out) {
  for (int64_t i = 0; i < rows; ++i) {
    const float sum = bias[i] + Dot(weight + i * columns, in, columns);
    out[i] = activation == SqueezeExciteActivation::kRelu && sum < 0 ? 0.0f : sum;
  }
  if (activation == SqueezeExciteActivation::kRelu) return;
  for (int64_t i = 0; i < rows; i += kLanes) {
    const F32 sums = LoadPartial(out + i, rows - i);
    const F32 sigmoid = Div(Set(1.0f), Add(Set(1.0f), Exp(Sub(Zero(), sums))));
    StorePartial(out + i, rows - i, sigmoid);
  }
}

void ScaleGelu(float* x, int64_t pixels, int64_t channels, int64_t stride, const float* scale) {
  const int64_t whole = channels / kLanes * kLanes;
  const ptrdiff_t rest = channels - whole;
  for (int64_t p = 0; p < pixels; ++p) {
    float* pixel = x + p * stride;
    for (int64_t c = 0; c < whole; c += kLanes) {
      Store(pixel + c, Gelu(Mul(Load(pixel + c), Load(scale + c))));
    }
    if (rest > 0) {
      const F32 v = Mul(LoadPartial(pixel + whole, rest), LoadPartial(scale + whole, rest));
      StorePartial(pixel + whole, rest, Gelu(v));
    }
  }
}

}  // namespace fastvlm::FASTVLM_SIMD
