// The body for every vector instruction set; an <isa>.cc includes it after its vector header.
#include "kernels/depthwise_f32/depthwise_f32.h"

namespace fastvlm::FASTVLM_SIMD {
namespace {

// Output pixels of a row that are summed at once. With the weights of one kernel row (7) and an
// input vector they fill the registers: 16 of AVX2, 32 of AVX-512.
constexpr int kPixels = kLanes == 16 ? 16 : 8;

// Where a group of kPixels output pixels and one vector of channels stand.
struct Group {
  const DepthwiseF32Block* block;
  int64_t row, column, channel;  // of the output
  ptrdiff_t lanes;               // channels in the vector; counts if kPartial
  int64_t pixels;                // pixels in the group; counts if kEdge
};

template <bool kPartial>
FASTVLM_INLINE F32 LoadChannels(const float* p, ptrdiff_t lanes) {
  return kPartial ? LoadPartial(p, lanes) : Load(p);
}

// The input of `lanes` output channels.
template <int kMultiplier, bool kPartial>
FASTVLM_INLINE F32 LoadInput(const float* p, ptrdiff_t lanes) {
  if constexpr (kMultiplier == 1) return LoadChannels<kPartial>(p, lanes);
  return kPartial ? LoadPairsPartial(p, lanes) : LoadPairs(p);
}

// kEdge: some taps are outside the image on the left or right, or the group is not whole.
template <int kKernel, int kStride, int kMultiplier, bool kEdge, bool kPartial>
FASTVLM_INLINE void Convolve(const Group& g) {
  const DepthwiseF32Block& b = *g.block;
  F32 sum[kPixels];
  const F32 bias = LoadChannels<kPartial>(b.bias + g.channel, g.lanes);
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) sum[p] = bias;

  const int64_t in_row = g.row * kStride - kKernel / 2;
  const int64_t in_column = g.column * kStride - kKernel / 2;
  const int64_t ky_begin = in_row < 0 ? -in_row : 0;
  const int64_t ky_end = b.height - in_row < kKernel ? b.height - in_row : kKernel;
  const int64_t step = b.x_pixel_stride;
  for (int64_t ky = ky_begin; ky < ky_end; ++ky) {
    F32 weight[kKernel];
    const float* w = b.weight + ky * kKernel * b.weight_tap_stride + g.channel;
#pragma GCC unroll 8
    for (int kx = 0; kx < kKernel; ++kx) {
      weight[kx] = LoadChannels<kPartial>(w, g.lanes);
      w += b.weight_tap_stride;
    }
    const int64_t x_offset =
        (in_row + ky) * b.x_row_stride + in_column * step + g.channel / kMultiplier;
#pragma GCC unroll 64
    for (int j = 0; j < (kPixels - 1) * kStride + kKernel; ++j) {
      if (kEdge && static_cast<uint64_t>(in_column + j) >= static_cast<uint64_t>(b.width)) continue;
      const F32 x = LoadInput<kMultiplier, kPartial>(b.x + x_offset + j * step, g.lanes);
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) {
        const int kx = j - p * kStride;
        if (kx >= 0 && kx < kKernel) sum[p] = MulAdd(x, weight[kx], sum[p]);
      }
    }
  }

  float* y = b.y + g.row * b.y_row_stride + g.column * b.y_pixel_stride + g.channel;
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
    if (kEdge && p >= g.pixels) break;
    const F32 out = b.gelu ? Gelu(sum[p]) : sum[p];
    if (kPartial) {
      StorePartial(y, g.lanes, out);
    } else {
      Store(y, out);
    }
    y += b.y_pixel_stride;
  }
}

template <int kKernel, int kStride, int kMultiplier>
void ConvolveBlock(const DepthwiseF32Block& b) {
  const int64_t out_width = (b.width + kStride - 1) / kStride;
  const int64_t whole = b.channels / kLanes * kLanes;
  Group g = {&b, 0, 0, 0, b.channels - whole, 0};
  for (g.row = b.row_begin; g.row < b.row_end; ++g.row) {
    for (g.column = 0; g.column < out_width; g.column += kPixels) {
      g.pixels = out_width - g.column;
      const int64_t first = g.column * kStride - kKernel / 2;
      const bool edge = first < 0 || first + (kPixels - 1) * kStride + kKernel > b.width;
      if (edge) {
        for (g.channel = 0; g.channel < whole; g.channel += kLanes) {
          Convolve<kKernel, kStride, kMultiplier, true, false>(g);
        }
      } else {
        for (g.channel = 0; g.channel < whole; g.channel += kLanes) {
          Convolve<kKernel, kStride, kMultiplier, false, false>(g);
        }
      }
      if (g.lanes > 0) Convolve<kKernel, kStride, kMultiplier, true, true>(g);
    }
  }
}

template <int kKernel>
void ConvolveWithKernel(const DepthwiseF32Block& b) {
  if (b.stride == 1) {
    b.multiplier == 1 ? ConvolveBlock<kKernel, 1, 1>(b) : ConvolveBlock<kKernel, 1, 2>(b);
  } else {
    b.multiplier == 1 ? ConvolveBlock<kKernel, 2, 1>(b) : ConvolveBlock<kKernel, 2, 2>(b);
  }
}

}  // namespace

void DepthwiseF32(const DepthwiseF32Block& b) {
  b.kernel == 3 ? ConvolveWithKernel<3>(b) : ConvolveWithKernel<7>(b);
}

}  // namespace fastvlm::FASTVLM_SIMD
