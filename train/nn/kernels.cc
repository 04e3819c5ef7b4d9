#include "train/nn/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

// Each function is compiled for several instruction sets and the best is taken at start.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FASTVLM_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), flatten))
#else
#define FASTVLM_CLONES
#endif

namespace fastvlm::train {
namespace {

// Taps of a kernel that fall inside [0, size) when it is placed at `start`.
struct Range {
  int64_t begin, end;
};
inline Range TapsInside(int64_t start, int64_t kernel, int64_t size) {
  return {std::max<int64_t>(0, -start), std::min(kernel, size - start)};
}

constexpr float kSqrtHalf = 0.70710678118654752f;
constexpr float kInvSqrt2Pi = 0.39894228040143268f;

// exp of x <= 0 by 2^n * p(r), Cody-Waite reduction; relative error below 3e-7.
inline float ExpNegative(float x) {
  x = std::max(x, -87.0f);
  const float n = std::nearbyint(x * 1.44269504f);
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof(scale));
  return p * scale;
}

// Phi(x), the normal distribution function, by Abramowitz and Stegun's 7.1.26 for erf (absolute
// error 1.5e-7), and the density exp(-x^2 / 2) / sqrt(2 pi).
struct Normal {
  float phi, density;
};
inline Normal NormalOf(float x) {
  const float z = std::fabs(x) * kSqrtHalf;
  const float e = ExpNegative(-z * z);
  const float t = 1.0f / (1.0f + 0.3275911f * z);
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const float half_tail = 0.5f * p * t * e;
  return {x < 0 ? half_tail : 1.0f - half_tail, kInvSqrt2Pi * e};
}

inline float GeluOf(float x) { return x * NormalOf(x).phi; }
inline float GeluSlope(float x) {
  const Normal n = NormalOf(x);
  return n.phi + x * n.density;
}

template <int kWidth>
inline void ForwardChunk(const DepthwiseShape& s, const float* x, const float* weight, float* y,
                         int64_t c) {
  const int64_t channels = s.out_channels, out_h = s.out_height(), out_w = s.out_width();
  for (int64_t b = 0; b < s.batch; ++b) {
    const float* image = x + b * s.height * s.width * channels + c;
    float* out = y + b * out_h * out_w * channels + c;
    for (int64_t r = 0; r < out_h; ++r) {
      const int64_t top = r * s.stride - s.kernel / 2;
      const Range rows = TapsInside(top, s.kernel, s.height);
      for (int64_t q = 0; q < out_w; ++q) {
        const int64_t left = q * s.stride - s.kernel / 2;
        const Range columns = TapsInside(left, s.kernel, s.width);
        float sum[kWidth] = {};
        for (int64_t i = rows.begin; i < rows.end; ++i) {
          const float* pixel = image + ((top + i) * s.width + left + columns.begin) * channels;
          const float* w = weight + (i * s.kernel + columns.begin) * channels + c;
          for (int64_t j = columns.begin; j < columns.end; ++j) {
            for (int k = 0; k < kWidth; ++k) sum[k] += pixel[k] * w[k];
            pixel += channels;
            w += channels;
          }
        }
        std::memcpy(out + (r * out_w + q) * channels, sum, sizeof(sum));
      }
    }
  }
}

template <int kWidth>
inline void InputChunk(const DepthwiseShape& s, const float* dy, const float* weight, float* dx,
                       int64_t c) {
  const int64_t channels = s.out_channels, out_h = s.out_height(), out_w = s.out_width();
  const int64_t half = s.kernel / 2;
  for (int64_t b = 0; b < s.batch; ++b) {
    const float* gradient = dy + b * out_h * out_w * channels + c;
    float* out = dx + b * s.height * s.width * channels + c;
    for (int64_t r = 0; r < s.height; ++r) {
      for (int64_t q = 0; q < s.width; ++q) {
        float sum[kWidth] = {};
        // Output (r', q') reads input (r, q) with tap i = r + half - r' * stride.
        const int64_t r_begin = std::max<int64_t>(0, (r + half - s.kernel + s.stride) / s.stride);
        const int64_t r_end = std::min(out_h, (r + half) / s.stride + 1);
        const int64_t q_begin = std::max<int64_t>(0, (q + half - s.kernel + s.stride) / s.stride);
        const int64_t q_end = std::min(out_w, (q + half) / s.stride + 1);
        for (int64_t ro = r_begin; ro < r_end; ++ro) {
          const int64_t i = r + half - ro * s.stride;
          const float* g = gradient + (ro * out_w + q_begin) * channels;
          const float* w = weight + (i * s.kernel + q + half - q_begin * s.stride) * channels + c;
          for (int64_t qo = q_begin; qo < q_end; ++qo) {
            for (int k = 0; k < kWidth; ++k) sum[k] += g[k] * w[k];
            g += channels;
            w -= s.stride * channels;
          }
        }
        std::memcpy(out + (r * s.width + q) * channels, sum, sizeof(sum));
      }
    }
  }
}

// One row of taps at a time, so that their sums stay in registers.
template <int kWidth, int kKernel>
inline void WeightRow(const DepthwiseShape& s, const float* x, const float* dy, float* dweight,
                      int64_t c, int64_t tap_row) {
  const int64_t channels = s.out_channels, out_h = s.out_height(), out_w = s.out_width();
  float sum[kKernel][kWidth] = {};
  for (int64_t b = 0; b < s.batch; ++b) {
    const float* image = x + b * s.height * s.width * channels + c;
    const float* gradient = dy + b * out_h * out_w * channels + c;
    for (int64_t r = 0; r < out_h; ++r) {
      const int64_t row = r * s.stride - kKernel / 2 + tap_row;
      if (row < 0 || row >= s.height) continue;
      for (int64_t q = 0; q < out_w; ++q) {
        const int64_t left = q * s.stride - kKernel / 2;
        const float* pixel = image + (row * s.width + left) * channels;
        const float* g = gradient + (r * out_w + q) * channels;
        if (left >= 0 && left + kKernel <= s.width) {
          for (int j = 0; j < kKernel; ++j) {
            for (int k = 0; k < kWidth; ++k) sum[j][k] += pixel[j * channels + k] * g[k];
          }
        } else {
          for (int j = 0; j < kKernel; ++j) {
            if (left + j < 0 || left + j >= s.width) continue;
            for (int k = 0; k < kWidth; ++k) sum[j][k] += pixel[j * channels + k] * g[k];
          }
        }
      }
    }
  }
  for (int j = 0; j < kKernel; ++j) {
    std::memcpy(dweight + (tap_row * kKernel + j) * channels + c, sum[j], sizeof(sum[j]));
  }
}

template <int kWidth>
inline void WeightChunk(const DepthwiseShape& s, const float* x, const float* dy, float* dweight,
                        int64_t c) {
  for (int64_t i = 0; i < s.kernel; ++i) {
    if (s.kernel == 3) {
      WeightRow<kWidth, 3>(s, x, dy, dweight, c, i);
    } else {
      WeightRow<kWidth, 7>(s, x, dy, dweight, c, i);
    }
  }
}

}  // namespace

FASTVLM_CLONES void DepthwiseForward(const DepthwiseShape& s, const float* x, const float* weight,
                                     float* y) {
  int64_t c = 0;
  for (; c + 32 <= s.out_channels; c += 32) ForwardChunk<32>(s, x, weight, y, c);
  for (; c + 8 <= s.out_channels; c += 8) ForwardChunk<8>(s, x, weight, y, c);
  for (; c < s.out_channels; ++c) ForwardChunk<1>(s, x, weight, y, c);
}

FASTVLM_CLONES void DepthwiseBackwardInput(const DepthwiseShape& s, const float* dy,
                                           const float* weight, float* dx) {
  int64_t c = 0;
  for (; c + 32 <= s.out_channels; c += 32) InputChunk<32>(s, dy, weight, dx, c);
  for (; c + 8 <= s.out_channels; c += 8) InputChunk<8>(s, dy, weight, dx, c);
  for (; c < s.out_channels; ++c) InputChunk<1>(s, dy, weight, dx, c);
}

FASTVLM_CLONES void DepthwiseBackwardWeight(const DepthwiseShape& s, const float* x,
                                            const float* dy, float* dweight) {
  int64_t c = 0;
  for (; c + 8 <= s.out_channels; c += 8) WeightChunk<8>(s, x, dy, dweight, c);
  for (; c < s.out_channels; ++c) WeightChunk<1>(s, x, dy, dweight, c);
}

void ExpandChannels(const float* x, int64_t pixels, int64_t channels, int64_t multiplier,
                    float* y) {
  for (int64_t i = 0; i < pixels * channels; ++i) {
    for (int64_t j = 0; j < multiplier; ++j) *y++ = x[i];
  }
}

void SumExpandedChannels(const float* dy, int64_t pixels, int64_t channels, int64_t multiplier,
                         float* dx) {
  for (int64_t i = 0; i < pixels * channels; ++i) {
    float sum = 0;
    for (int64_t j = 0; j < multiplier; ++j) sum += *dy++;
    dx[i] = sum;
  }
}

FASTVLM_CLONES void Gelu(const float* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = GeluOf(x[i]);
}

FASTVLM_CLONES void GeluBackward(const float* x, const float* dy, int64_t n, float* dx) {
  for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] * GeluSlope(x[i]);
}

namespace {
inline float Sigmoid(float x) {
  const float e = ExpNegative(-std::fabs(x));
  return (x < 0 ? e : 1.0f) / (1.0f + e);
}
}  // namespace

FASTVLM_CLONES void SiluMul(const float* gate, const float* up, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = gate[i] * Sigmoid(gate[i]) * up[i];
}

FASTVLM_CLONES void SiluMulBackward(const float* gate, const float* up, const float* dy, int64_t n,
                                    float* dgate, float* dup) {
  for (int64_t i = 0; i < n; ++i) {
    const float s = Sigmoid(gate[i]);
    dup[i] = dy[i] * gate[i] * s;
    dgate[i] = dy[i] * up[i] * s * (1.0f + gate[i] * (1.0f - s));
  }
}

FASTVLM_CLONES void ColumnMoments(const float* x, int64_t rows, int64_t columns, float* mean,
                                  float* variance) {
  std::vector<double> total(2 * columns, 0.0);
  std::vector<float> part(2 * columns);
  float* sum = part.data();
  float* square = sum + columns;
  for (int64_t begin = 0; begin < rows; begin += 64) {
    std::fill(part.begin(), part.end(), 0.0f);
    for (int64_t r = begin; r < std::min(rows, begin + 64); ++r) {
      const float* row = x + r * columns;
      for (int64_t c = 0; c < columns; ++c) {
        sum[c] += row[c];
        square[c] += row[c] * row[c];
      }
    }
    for (int64_t c = 0; c < 2 * columns; ++c) total[c] += part[c];
  }
  for (int64_t c = 0; c < columns; ++c) {
    const double m = total[c] / static_cast<double>(rows);
    const double v = total[columns + c] / static_cast<double>(rows) - m * m;
    mean[c] = static_cast<float>(m);
    variance[c] = static_cast<float>(std::max(v, 0.0));
  }
}

FASTVLM_CLONES void ScaleShift(const float* x, int64_t rows, int64_t columns, const float* scale,
                               const float* shift, bool gelu, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* in = x + r * columns;
    float* out = y + r * columns;
    if (gelu) {
      for (int64_t c = 0; c < columns; ++c) out[c] = GeluOf(in[c] * scale[c] + shift[c]);
    } else {
      for (int64_t c = 0; c < columns; ++c) out[c] = in[c] * scale[c] + shift[c];
    }
  }
}

FASTVLM_CLONES void ScaleShiftBackward(const float* x, const float* dy, int64_t rows,
                                       int64_t columns, const float* scale, const float* shift,
                                       bool gelu, float* dz, float* sum_g, float* sum_gx) {
  std::vector<double> total(2 * columns, 0.0);
  std::vector<float> part(2 * columns);
  float* sum = part.data();
  float* product = sum + columns;
  for (int64_t begin = 0; begin < rows; begin += 64) {
    std::fill(part.begin(), part.end(), 0.0f);
    for (int64_t r = begin; r < std::min(rows, begin + 64); ++r) {
      const float* in = x + r * columns;
      const float* gradient = dy + r * columns;
      float* out = dz + r * columns;
      if (gelu) {
        for (int64_t c = 0; c < columns; ++c) {
          out[c] = gradient[c] * GeluSlope(in[c] * scale[c] + shift[c]);
        }
      } else if (out != gradient) {
        std::copy_n(gradient, columns, out);
      }
      for (int64_t c = 0; c < columns; ++c) {
        sum[c] += out[c];
        product[c] += out[c] * in[c];
      }
    }
    for (int64_t c = 0; c < 2 * columns; ++c) total[c] += part[c];
  }
  for (int64_t c = 0; c < columns; ++c) {
    sum_g[c] = static_cast<float>(total[c]);
    sum_gx[c] = static_cast<float>(total[columns + c]);
  }
}

FASTVLM_CLONES void Combine(const float* g, const float* x, int64_t rows, int64_t columns,
                            const float* a, const float* b, const float* c, float* dx) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < columns; ++i) {
      const int64_t at = r * columns + i;
      dx[at] = a[i] * g[at] + b[i] * x[at] + c[i];
    }
  }
}

FASTVLM_CLONES void RmsNormForward(const float* x, const float* gain, int64_t rows, int64_t columns,
                                   float eps, float* y, float* r) {
  for (int64_t t = 0; t < rows; ++t) {
    const float* in = x + t * columns;
    float lanes[16] = {};
    int64_t i = 0;
    for (; i + 16 <= columns; i += 16) {
      for (int k = 0; k < 16; ++k) lanes[k] += in[i + k] * in[i + k];
    }
    float sum = 0;
    for (float lane : lanes) sum += lane;
    for (; i < columns; ++i) sum += in[i] * in[i];
    r[t] = 1.0f / std::sqrt(sum / static_cast<float>(columns) + eps);
    for (i = 0; i < columns; ++i) y[t * columns + i] = in[i] * r[t] * gain[i];
  }
}

FASTVLM_CLONES void RmsNormBackward(const float* x, const float* gain, const float* r,
                                    const float* dy, int64_t rows, int64_t columns, float* dx,
                                    float* dgain) {
  std::fill_n(dgain, columns, 0.0f);
  for (int64_t t = 0; t < rows; ++t) {
    const float* in = x + t * columns;
    const float* g = dy + t * columns;
    float lanes[16] = {};
    int64_t i = 0;
    for (; i + 16 <= columns; i += 16) {
      for (int k = 0; k < 16; ++k) lanes[k] += in[i + k] * g[i + k] * gain[i + k];
    }
    float dot = 0;
    for (float lane : lanes) dot += lane;
    for (; i < columns; ++i) dot += in[i] * g[i] * gain[i];
    const float back = dot * r[t] * r[t] * r[t] / static_cast<float>(columns);
    for (i = 0; i < columns; ++i) {
      dgain[i] += g[i] * in[i] * r[t];
      dx[t * columns + i] = g[i] * gain[i] * r[t] - in[i] * back;
    }
  }
}

FASTVLM_CLONES void SoftmaxRows(float* scores, int64_t rows, int64_t columns) {
  for (int64_t t = 0; t < rows; ++t) {
    float* row = scores + t * columns;
    float highest = row[0];
    for (int64_t i = 1; i < columns; ++i) highest = std::max(highest, row[i]);
    float sum = 0;
    for (int64_t i = 0; i < columns; ++i) row[i] = ExpNegative(row[i] - highest);
    for (int64_t i = 0; i < columns; ++i) sum += row[i];
    const float inverse = 1.0f / sum;
    for (int64_t i = 0; i < columns; ++i) row[i] *= inverse;
  }
}

FASTVLM_CLONES void SoftmaxBackwardRows(const float* p, int64_t rows, int64_t columns, float* dp) {
  for (int64_t t = 0; t < rows; ++t) {
    const float* probability = p + t * columns;
    float* gradient = dp + t * columns;
    float dot = 0;
    for (int64_t i = 0; i < columns; ++i) dot += probability[i] * gradient[i];
    for (int64_t i = 0; i < columns; ++i) gradient[i] = probability[i] * (gradient[i] - dot);
  }
}

}  // namespace fastvlm::train
