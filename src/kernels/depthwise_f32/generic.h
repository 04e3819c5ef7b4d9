// The body for every vector instruction set; an <isa>.cc includes it after its vector header.
//
// There are two ways through the image. In place: kPixels columns from the first row down, all
// channels of a row one after the other, so that memory is read and written in its order. Or by
// strips: kChannels channels (a cache line) of kColumns columns from the first row down, whose
// input is copied to a ring in the first-level cache, padding and repeated channels included.
// Strips take any size; InPlace() says what is done in place.
#include "kernels/depthwise_f32/depthwise_f32.h"

namespace fastvlm::FASTVLM_SIMD {
namespace {

constexpr int kChannels = 16;
constexpr int kVectors = kChannels / kLanes;
constexpr int kColumns = 32;
constexpr int kMaxKernel = 7;
constexpr int kMaxSpan = (kColumns - 1) * 2 + kMaxKernel;  // input columns of a strip

// Output pixels of a row that are summed at once. With the weights of one kernel row (7) and an
// input vector they fill the 16 registers of AVX2; AVX-512 has 32.
constexpr int kPixels = kLanes == 16 ? 16 : 8;
static_assert(kColumns % kPixels == 0);

struct Strip {
  int64_t column, columns;  // of the output
  int64_t channel;          // of the output
  int64_t in_column, span;  // of the input, padding included
  alignas(64) float weight[kMaxKernel * kMaxKernel][kChannels];
  alignas(64) float bias[kChannels];
  alignas(64) float rows[kMaxKernel][kMaxSpan][kChannels];  // input row i is in rows[i % kernel]
};

template <int kKernel>
FASTVLM_INLINE void PackWeights(const DepthwiseF32Block& b, Strip& strip) {
  for (int v = 0; v < kVectors; ++v) {
    const int64_t first = strip.channel + v * kLanes;
    if (first >= b.channels) return;
    Store(strip.bias + v * kLanes, LoadPartial(b.bias + first, b.channels - first));
    for (int tap = 0; tap < kKernel * kKernel; ++tap) {
      const float* from = b.weight + tap * b.weight_tap_stride + first;
      Store(strip.weight[tap] + v * kLanes, LoadPartial(from, b.channels - first));
    }
  }
}

// One pixel; kWhole: all kChannels exist, otherwise the first `channels`.
template <int kMultiplier, bool kWhole>
FASTVLM_INLINE void PackPixel(const float* x, int64_t channels, float* to) {
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v, x += kLanes / kMultiplier) {
    const ptrdiff_t lanes = channels - v * kLanes;
    if (!kWhole && lanes <= 0) return;
    if constexpr (kMultiplier == 1) {
      Store(to + v * kLanes, kWhole ? Load(x) : LoadPartial(x, lanes));
    } else {
      Store(to + v * kLanes, kWhole ? LoadPairs(x) : LoadPairsPartial(x, lanes));
    }
  }
}

// Copies the strip's part of one row of the image, zeros outside of it.
template <int kMultiplier>
void PackRow(const DepthwiseF32Block& b, const Strip& strip, int64_t row,
             float (&to)[kMaxSpan][kChannels]) {
  const int64_t begin = strip.in_column < 0 ? -strip.in_column : 0;
  const int64_t inside = b.width - strip.in_column;
  const int64_t end = inside < strip.span ? inside : strip.span;
  for (int64_t i = 0; i < begin; ++i) {
    for (int v = 0; v < kVectors; ++v) Store(to[i] + v * kLanes, Zero());
  }
  const float* x = b.x + row * b.x_row_stride + (strip.in_column + begin) * b.x_pixel_stride +
                   strip.channel / kMultiplier;
  const int64_t channels = b.channels - strip.channel;
  if (channels >= kChannels) {
    for (int64_t i = begin; i < end; ++i, x += b.x_pixel_stride) {
      PackPixel<kMultiplier, true>(x, channels, to[i]);
    }
  } else {
    for (int64_t i = begin; i < end; ++i, x += b.x_pixel_stride) {
      PackPixel<kMultiplier, false>(x, channels, to[i]);
    }
  }
  for (int64_t i = end; i < strip.span; ++i) {
    for (int v = 0; v < kVectors; ++v) Store(to[i] + v * kLanes, Zero());
  }
}

struct Sums {
  F32 of[kPixels];
};

// Sums kPixels outputs of vector v from output column `column` of the strip on; in_row: the image
// row under the first row of the window.
template <int kKernel, int kStride>
FASTVLM_INLINE Sums Convolve(const DepthwiseF32Block& b, const Strip& strip, int64_t in_row,
                             int64_t column, int v) {
  const F32 bias = Load(strip.bias + v * kLanes);
  Sums sum;
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) sum.of[p] = bias;
  const int64_t row_begin = in_row < 0 ? 0 : in_row;
  const int64_t row_end = in_row + kKernel < b.height ? in_row + kKernel : b.height;
  int64_t slot = row_begin % kKernel;
  for (int64_t row = row_begin; row < row_end; ++row) {
    const auto& taps = strip.weight + (row - in_row) * kKernel;
    F32 weight[kKernel];
#pragma GCC unroll 8
    for (int kx = 0; kx < kKernel; ++kx) weight[kx] = Load(taps[kx] + v * kLanes);
    const float* x = strip.rows[slot][column * kStride] + v * kLanes;
    slot = slot + 1 == kKernel ? 0 : slot + 1;
#pragma GCC unroll 64
    for (int j = 0; j < (kPixels - 1) * kStride + kKernel; ++j) {
      const F32 value = Load(x + j * kChannels);
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) {
        const int kx = j - p * kStride;
        if (kx >= 0 && kx < kKernel) sum.of[p] = MulAdd(value, weight[kx], sum.of[p]);
      }
    }
  }
  return sum;
}

// What is rarely done with the sums of kPixels pixels: once for all instances of ConvolveRow, which
// are slow to compile as it is. The sums are passed by value, so that they need no address and stay
// in registers.
Sums GeluPixels(Sums sum) {
  for (int p = 0; p < kPixels; ++p) sum.of[p] = Gelu(sum.of[p]);
  return sum;
}
void StorePart(Sums sum, int64_t pixels, ptrdiff_t lanes, float* y, int64_t stride) {
  for (int p = 0; p < kPixels && p < pixels; ++p) StorePartial(y + p * stride, lanes, sum.of[p]);
}

template <int kKernel, int kStride>
FASTVLM_INLINE void ConvolveRow(const DepthwiseF32Block& b, const Strip& strip, int64_t row) {
  const int64_t in_row = row * kStride - kKernel / 2;
  float* y = b.y + row * b.y_row_stride + strip.column * b.y_pixel_stride + strip.channel;
  for (int64_t column = 0; column < strip.columns; column += kPixels) {
    for (int v = 0; v < kVectors; ++v) {
      const ptrdiff_t lanes = b.channels - strip.channel - v * kLanes;
      if (lanes <= 0) break;
      Sums sum = Convolve<kKernel, kStride>(b, strip, in_row, column, v);
      if (b.gelu) sum = GeluPixels(sum);
      float* to = y + column * b.y_pixel_stride + v * kLanes;
      if (lanes >= kLanes && strip.columns - column >= kPixels) {
#pragma GCC unroll 16
        for (int p = 0; p < kPixels; ++p, to += b.y_pixel_stride) Store(to, sum.of[p]);
      } else {
        StorePart(sum, strip.columns - column, lanes, to, b.y_pixel_stride);
      }
    }
  }
}

template <int kKernel, int kStride>
FASTVLM_INLINE void ConvolveStrip(const DepthwiseF32Block& b, Strip& strip) {
  strip.in_column = strip.column * kStride - kKernel / 2;
  const int64_t summed = (strip.columns + kPixels - 1) / kPixels * kPixels;
  strip.span = (summed - 1) * kStride + kKernel;
  PackWeights<kKernel>(b, strip);
  const auto pack_row = b.multiplier == 1 ? PackRow<1> : PackRow<2>;
  const int64_t first = b.row_begin * kStride - kKernel / 2;
  int64_t packed = first < 0 ? 0 : first;  // rows before this one are in the ring, if needed
  for (int64_t row = b.row_begin; row < b.row_end; ++row) {
    const int64_t reach = row * kStride - kKernel / 2 + kKernel;
    for (; packed < reach && packed < b.height; ++packed) {
      pack_row(b, strip, packed, strip.rows[packed % kKernel]);
    }
    ConvolveRow<kKernel, kStride>(b, strip, row);
  }
}

template <int kKernel, int kStride>
void ConvolveStrips(const DepthwiseF32Block& b) {
  const int64_t out_width = (b.width + kStride - 1) / kStride;
  Strip strip;
  for (strip.column = 0; strip.column < out_width; strip.column += kColumns) {
    strip.columns = out_width - strip.column < kColumns ? out_width - strip.column : kColumns;
    for (strip.channel = 0; strip.channel < b.channels; strip.channel += kChannels) {
      ConvolveStrip<kKernel, kStride>(b, strip);
    }
  }
}

constexpr int64_t kMaxChannels = 96;  // in place at once

// Whether the block can be computed in place, in whole vectors and whole runs of kPixels
// pixels, and should be. 7x7 windows over all channels do not fit the first-level cache. Against
// strips, in place takes 0.75 of the time at 3x3 and 0.9 at 7x7 with AVX-512 on Emerald Rapids, 0.7
// and 0.98 to 1.2 with AVX2; not measured on CPUs with smaller caches.
bool InPlace(const DepthwiseF32Block& b) {
  if (b.kernel == 7 && kLanes < 16) return false;
  return b.width % (kPixels * b.stride) == 0 && b.channels % kLanes == 0;
}

template <int kMultiplier>
FASTVLM_INLINE F32 LoadInput(const float* x) {
  return kMultiplier == 1 ? Load(x) : LoadPairs(x);
}

// kPixels outputs of one vector of channels, from output column `column` on. weights: [kernel^2] of
// these channels.
template <int kKernel, int kStride, int kMultiplier>
FASTVLM_INLINE void ConvolveInPlace(const DepthwiseF32Block& b, const float (*weights)[kLanes],
                                    int64_t row, int64_t column, int64_t channel) {
  constexpr int kHalf = kKernel / 2;
  constexpr int kSpan = (kPixels - 1) * kStride + kKernel;
  static constexpr float kZeros[kLanes] = {};
  const int64_t in_column = column * kStride - kHalf;
  const bool at_left = column == 0, at_right = in_column + kSpan > b.width;
  // Pixels of the last windows that are inside: with stride 2 the right padding is one less.
  constexpr int kInside = kPixels * kStride + kHalf;
  Sums sum;
  const F32 bias = Load(b.bias + channel);
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) sum.of[p] = bias;
  for (int64_t ky = 0; ky < kKernel; ++ky) {
    const int64_t in_row = row * kStride - kHalf + ky;
    if (in_row < 0 || in_row >= b.height) continue;
    F32 weight[kKernel];
#pragma GCC unroll 8
    for (int kx = 0; kx < kKernel; ++kx) weight[kx] = Load(weights[ky * kKernel + kx]);
    const float* x =
        b.x + in_row * b.x_row_stride + in_column * b.x_pixel_stride + channel / kMultiplier;
#pragma GCC unroll 64
    for (int j = 0; j < kSpan; ++j) {
      const bool outside = (j < kHalf && at_left) || (j >= kInside && at_right);
      const F32 value = LoadInput<kMultiplier>(outside ? kZeros : x);
      x += b.x_pixel_stride;
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) {
        const int kx = j - p * kStride;
        if (kx >= 0 && kx < kKernel) sum.of[p] = MulAdd(value, weight[kx], sum.of[p]);
      }
    }
  }
  if (b.gelu) sum = GeluPixels(sum);
  float* y = b.y + row * b.y_row_stride + column * b.y_pixel_stride + channel;
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p, y += b.y_pixel_stride) Store(y, sum.of[p]);
}

template <int kKernel, int kStride, int kMultiplier>
void ConvolveChannels(const DepthwiseF32Block& b, int64_t channels_begin, int64_t channels_end) {
  alignas(64) float weights[kMaxChannels / kLanes][kKernel * kKernel][kLanes];
  for (int64_t c = channels_begin; c < channels_end; c += kLanes) {
    for (int tap = 0; tap < kKernel * kKernel; ++tap) {
      Store(weights[(c - channels_begin) / kLanes][tap],
            Load(b.weight + tap * b.weight_tap_stride + c));
    }
  }
  for (int64_t column = 0; column < b.width / kStride; column += kPixels) {
    for (int64_t row = b.row_begin; row < b.row_end; ++row) {
      for (int64_t c = channels_begin; c < channels_end; c += kLanes) {
        ConvolveInPlace<kKernel, kStride, kMultiplier>(b, weights[(c - channels_begin) / kLanes],
                                                       row, column, c);
      }
    }
  }
}

template <int kKernel, int kStride>
void ConvolveBlock(const DepthwiseF32Block& b) {
  if (!InPlace(b)) return ConvolveStrips<kKernel, kStride>(b);
  for (int64_t c = 0; c < b.channels; c += kMaxChannels) {
    const int64_t end = c + kMaxChannels < b.channels ? c + kMaxChannels : b.channels;
    b.multiplier == 1 ? ConvolveChannels<kKernel, kStride, 1>(b, c, end)
                      : ConvolveChannels<kKernel, kStride, 2>(b, c, end);
  }
}

}  // namespace

void DepthwiseF32(const DepthwiseF32Block& b) {
  if (b.kernel == 3) {
    b.stride == 1 ? ConvolveBlock<3, 1>(b) : ConvolveBlock<3, 2>(b);
  } else {
    b.stride == 1 ? ConvolveBlock<7, 1>(b) : ConvolveBlock<7, 2>(b);
  }
}

}  // namespace fastvlm::FASTVLM_SIMD
