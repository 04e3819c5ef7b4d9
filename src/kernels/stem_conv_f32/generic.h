// The body for every vector instruction set; an <isa>.cc includes it after its vector header.
#include "kernels/stem_conv_f32/stem_conv_f32.h"

namespace fastvlm::FASTVLM_SIMD {
namespace {

constexpr int64_t kTaps = 9;  // elements of x under one row of the window: 3 pixels of 3 channels

// kPixels x kVectors vectors of channels are summed at once. Together with kVectors weights and one
// element of x they fill the registers, 16 of AVX2 or 32 of AVX-512.
constexpr int kPixels = kLanes == 16 ? 8 : 4;
constexpr int kVectors = 3;
constexpr int64_t kSpan =
    3 * (2 * (kPixels - 1) + 3);  // elements of x under a row of kPixels windows

template <bool kPartial>
FASTVLM_INLINE F32 LoadChannels(const float* p, ptrdiff_t lanes) {
  return kPartial ? LoadPartial(p, lanes) : Load(p);
}

// rows: the first element under the first window, one pointer for each row of the window.
// y: the first of `pixels` <= kPixels pixels. kPartial: `lanes` channels of one vector.
template <int kCount, bool kPartial>
FASTVLM_INLINE void Convolve(const StemConvF32Block& b, const float* const (&rows)[3],
                             int64_t channel, ptrdiff_t lanes, float* y, int64_t pixels) {
  F32 sum[kPixels][kCount];
#pragma GCC unroll 4
  for (int v = 0; v < kCount; ++v) {
    const F32 bias = LoadChannels<kPartial>(b.bias + channel + v * kLanes, lanes);
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) sum[p][v] = bias;
  }
  const float* weight = b.weight + channel;
  for (const float* x : rows) {
    for (int64_t tap = 0; tap < kTaps; ++tap) {
      F32 w[kCount];
#pragma GCC unroll 4
      for (int v = 0; v < kCount; ++v) w[v] = LoadChannels<kPartial>(weight + v * kLanes, lanes);
      weight += b.channels;
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) {
        const F32 value = Set(x[tap + 6 * p]);
#pragma GCC unroll 4
        for (int v = 0; v < kCount; ++v) sum[p][v] = MulAdd(value, w[v], sum[p][v]);
      }
    }
  }
  y += channel;
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
    if (p >= pixels) break;
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v) {
      if (kPartial) {
        StorePartial(y, lanes, Gelu(sum[p][v]));
      } else {
        Store(y + v * kLanes, Gelu(sum[p][v]));
      }
    }
    y += b.channels;
  }
}

void ConvolvePixels(const StemConvF32Block& b, const float* const (&rows)[3], float* y,
                    int64_t pixels) {
  int64_t channel = 0;
  for (; channel + kVectors * kLanes <= b.channels; channel += kVectors * kLanes) {
    Convolve<kVectors, false>(b, rows, channel, kLanes, y, pixels);
  }
  for (; channel + kLanes <= b.channels; channel += kLanes) {
    Convolve<1, false>(b, rows, channel, kLanes, y, pixels);
  }
  if (channel < b.channels) Convolve<1, true>(b, rows, channel, b.channels - channel, y, pixels);
}

// Copies the elements under kPixels windows that are inside the image, zeros for the others.
void CopyWithPadding(const StemConvF32Block& b, int64_t in_row, int64_t in_column,
                     float (&padded)[3][kSpan]) {
  for (int64_t ky = 0; ky < 3; ++ky) {
    const int64_t row = in_row + ky;
    for (int64_t i = 0; i < kSpan; ++i) {
      const int64_t element = 3 * in_column + i;
      const bool inside = row >= 0 && row < b.height && element >= 0 && element < 3 * b.width;
      padded[ky][i] = inside ? b.x[row * b.width * 3 + element] : 0.0f;
    }
  }
}

}  // namespace

void StemConvF32(const StemConvF32Block& b) {
  const int64_t out_width = (b.width + 1) / 2;
  for (int64_t row = b.row_begin; row < b.row_end; ++row) {
    const int64_t in_row = 2 * row - 1;
    for (int64_t column = 0; column < out_width; column += kPixels) {
      const int64_t in_column = 2 * column - 1;
      const int64_t pixels = out_width - column;
      float* y = b.y + (row * out_width + column) * b.channels;
      if (in_row < 0 || in_row + 3 > b.height || in_column < 0 ||
          3 * in_column + kSpan > 3 * b.width) {
        float padded[3][kSpan];
        CopyWithPadding(b, in_row, in_column, padded);
        ConvolvePixels(b, {padded[0], padded[1], padded[2]}, y, pixels);
      } else {
        const float* x = b.x + (in_row * b.width + in_column) * 3;
        ConvolvePixels(b, {x, x + 3 * b.width, x + 6 * b.width}, y, pixels);
      }
    }
  }
}

}  // namespace fastvlm::FASTVLM_SIMD
