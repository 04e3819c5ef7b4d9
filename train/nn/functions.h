// Differentiable functions with hand-written gradients, where libtorch's own are slow on a CPU.
// Feature maps are NHWC, f32 and contiguous. Each is checked against finite differences.
#ifndef FASTVLM_TRAIN_NN_FUNCTIONS_H_
#define FASTVLM_TRAIN_NN_FUNCTIONS_H_

#include <torch/torch.h>

namespace fastvlm::train {

using torch::Tensor;

// x: [batch, height, width, in], weight: [kernel, kernel, out], out a multiple of in; zero padding
// of kernel / 2, no bias. -> [batch, ceil(height / stride), ceil(width / stride), out].
Tensor Depthwise(const Tensor& x, const Tensor& weight, int64_t stride);

// x: [batch, height, width, 3] -> [batch, ceil(height / 2), ceil(width / 2), 27], the patches a
// 3x3 convolution of stride 2 reads, as (ky, kx, channel). Not differentiable: x is a picture.
Tensor StemPatches(const Tensor& x);

// x weight^T + bias, f32 whatever precision the product had. weight: [out, in], bias: [out] or
// undefined.
Tensor Linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

// Lets denormal numbers count as 0 on this thread from now on. Softmaxes are full of them, and some
// CPUs take a hundred times as long for a product with one.
void FlushDenormals();

// While it exists, Linear on this thread multiplies in bf16 and adds in f32 (libtorch's autocast).
class Bf16Products {
 public:
  explicit Bf16Products(bool enabled);
  Bf16Products(const Bf16Products&) = delete;
  Bf16Products& operator=(const Bf16Products&) = delete;
  ~Bf16Products();

 private:
  const bool enabled_;
};

// The exact GELU.
Tensor Gelu(const Tensor& x);

// silu(gate) * up.
Tensor SiluMul(const Tensor& gate, const Tensor& up);

// Moments of one batch, for the running averages of a batch normalisation.
struct Moments {
  Tensor mean, variance;  // [channels]
};

// Batch normalisation over all but the last dimension by the moments of x itself, which go to
// `moments`, then GELU if asked for.
Tensor BatchNorm(const Tensor& x, const Tensor& gain, const Tensor& bias, double eps, bool gelu,
                 Moments* moments);

// x / sqrt(mean(x^2) + eps) * gain over the last dimension.
Tensor RmsNorm(const Tensor& x, const Tensor& gain, double eps);

// Softmax attention. q: [batch, tokens, heads, dim], k and v: [batch, tokens, kv_heads, dim];
// query head h reads kv head h / (heads / kv_heads). -> [batch, tokens, heads, dim].
// segments: undefined, and every token sees every other; or int32 [batch, tokens], and token t sees
// token s <= t if s is in segment 0 or in t's own.
Tensor Attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& segments);

// Rotary position embedding in Qwen2's order (halves, not pairs). x: [batch, tokens, heads, dim];
// cos, sin: [batch, tokens, dim / 2].
Tensor Rope(const Tensor& x, const Tensor& cos, const Tensor& sin);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_NN_FUNCTIONS_H_
