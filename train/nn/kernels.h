// The loops under the trainer's own autograd functions: NHWC f32, one thread, no allocation.
// A network is trained on several shards of a batch at once, each on its own thread, so these loops
// need no threads of their own.
#ifndef FASTVLM_TRAIN_NN_KERNELS_H_
#define FASTVLM_TRAIN_NN_KERNELS_H_

#include <cstdint>

namespace fastvlm::train {

// A depthwise convolution with zero padding of kernel / 2 and `multiplier` outputs per input
// channel: output channel o reads input channel o / multiplier.
struct DepthwiseShape {
  int64_t batch, height, width, in_channels, out_channels;
  int64_t kernel, stride;

  int64_t multiplier() const { return out_channels / in_channels; }
  int64_t out_height() const { return (height + stride - 1) / stride; }
  int64_t out_width() const { return (width + stride - 1) / stride; }
};

// x: [batch, height, width, in_channels], y: [batch, out_height, out_width, out_channels], weight:
// [kernel, kernel, out_channels]. All are contiguous and do not overlap. These three require in ==
// out: where the multiplier is above 1, the callers repeat the channels of x first
// (ExpandChannels).
void DepthwiseForward(const DepthwiseShape& shape, const float* x, const float* weight, float* y);
// dx, dweight: overwritten.
void DepthwiseBackwardInput(const DepthwiseShape& shape, const float* dy, const float* weight,
                            float* dx);
void DepthwiseBackwardWeight(const DepthwiseShape& shape, const float* x, const float* dy,
                             float* dweight);

// y[p, c * multiplier + j] = x[p, c], and its gradient, which adds the copies up.
void ExpandChannels(const float* x, int64_t pixels, int64_t channels, int64_t multiplier, float* y);
void SumExpandedChannels(const float* dy, int64_t pixels, int64_t channels, int64_t multiplier,
                         float* dx);

// The exact GELU of n values, and dx = dy * gelu'(x). Error of erf below 2e-7 absolute.
void Gelu(const float* x, int64_t n, float* y);
void GeluBackward(const float* x, const float* dy, int64_t n, float* dx);

// y = silu(gate) * up, with its gradients.
void SiluMul(const float* gate, const float* up, int64_t n, float* y);
void SiluMulBackward(const float* gate, const float* up, const float* dy, int64_t n, float* dgate,
                     float* dup);

// Mean and biased variance of each column of x [rows, columns].
void ColumnMoments(const float* x, int64_t rows, int64_t columns, float* mean, float* variance);
// y = x * scale + shift per column, then GELU if asked for.
void ScaleShift(const float* x, int64_t rows, int64_t columns, const float* scale,
                const float* shift, bool gelu, float* y);
// The gradient of the affine part: g, the gradient with respect to z = x * scale + shift (behind
// it may come GELU), written to dz; sum_g, the sums of its columns; sum_gx, those of g * x.
void ScaleShiftBackward(const float* x, const float* dy, int64_t rows, int64_t columns,
                        const float* scale, const float* shift, bool gelu, float* dz, float* sum_g,
                        float* sum_gx);
// dx = a * g + b * x + c per column; dx may be g.
void Combine(const float* g, const float* x, int64_t rows, int64_t columns, const float* a,
             const float* b, const float* c, float* dx);

// y[t,i] = x[t,i] * r[t] * gain[i], r[t] = 1 / sqrt(mean_i x[t,i]^2 + eps), kept for the backward.
void RmsNormForward(const float* x, const float* gain, int64_t rows, int64_t columns, float eps,
                    float* y, float* r);
void RmsNormBackward(const float* x, const float* gain, const float* r, const float* dy,
                     int64_t rows, int64_t columns, float* dx, float* dgain);

// In place, each row.
void SoftmaxRows(float* scores, int64_t rows, int64_t columns);
// ds = p * (dp - rowsum(dp * p)), in place of dp.
void SoftmaxBackwardRows(const float* p, int64_t rows, int64_t columns, float* dp);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_NN_KERNELS_H_
