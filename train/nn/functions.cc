#include "train/nn/functions.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <cblas.h>

#include <cmath>
#include <vector>

#include "train/nn/kernels.h"

namespace fastvlm::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

float* Data(const Tensor& t) { return t.data_ptr<float>(); }

DepthwiseShape ShapeOf(const Tensor& x, const Tensor& weight, int64_t stride) {
  return {x.size(0), x.size(1), x.size(2), x.size(3), weight.size(2), weight.size(0), stride};
}

Tensor Expanded(const Tensor& x, const DepthwiseShape& shape) {
  if (shape.multiplier() == 1) return x;
  Tensor wide = torch::empty({shape.batch, shape.height, shape.width, shape.out_channels});
  ExpandChannels(Data(x), shape.batch * shape.height * shape.width, shape.in_channels,
                 shape.multiplier(), Data(wide));
  return wide;
}

struct DepthwiseFunction : Function<DepthwiseFunction> {
  static Tensor forward(AutogradContext* context, Tensor x, Tensor weight, int64_t stride) {
    x = x.contiguous();
    const DepthwiseShape shape = ShapeOf(x, weight, stride);
    const Tensor wide = Expanded(x, shape);
    Tensor y =
        torch::empty({shape.batch, shape.out_height(), shape.out_width(), shape.out_channels});
    DepthwiseForward(shape, Data(wide), Data(weight), Data(y));
    context->save_for_backward({x, weight});
    context->saved_data["stride"] = stride;
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor& x = saved[0];
    const Tensor& weight = saved[1];
    const Tensor dy = gradients[0].contiguous();
    const DepthwiseShape shape = ShapeOf(x, weight, context->saved_data["stride"].toInt());
    const Tensor wide = Expanded(x, shape);
    Tensor dweight = torch::empty_like(weight);
    DepthwiseBackwardWeight(shape, Data(wide), Data(dy), Data(dweight));
    Tensor dx = torch::empty_like(wide);
    DepthwiseBackwardInput(shape, Data(dy), Data(weight), Data(dx));
    if (shape.multiplier() > 1) {
      Tensor narrow = torch::empty_like(x);
      SumExpandedChannels(Data(dx), shape.batch * shape.height * shape.width, shape.in_channels,
                          shape.multiplier(), Data(narrow));
      dx = narrow;
    }
    return {dx, dweight, Tensor()};
  }
};

struct GeluFunction : Function<GeluFunction> {
  static Tensor forward(AutogradContext* context, Tensor x) {
    x = x.contiguous();
    Tensor y = torch::empty_like(x);
    train::Gelu(Data(x), x.numel(), Data(y));
    context->save_for_backward({x});
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const Tensor x = context->get_saved_variables()[0];
    const Tensor dy = gradients[0].contiguous();
    Tensor dx = torch::empty_like(x);
    GeluBackward(Data(x), Data(dy), x.numel(), Data(dx));
    return {dx};
  }
};

struct SiluMulFunction : Function<SiluMulFunction> {
  static Tensor forward(AutogradContext* context, Tensor gate, Tensor up) {
    gate = gate.contiguous();
    up = up.contiguous();
    Tensor y = torch::empty_like(gate);
    train::SiluMul(Data(gate), Data(up), gate.numel(), Data(y));
    context->save_for_backward({gate, up});
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor dy = gradients[0].contiguous();
    Tensor dgate = torch::empty_like(saved[0]), dup = torch::empty_like(saved[1]);
    SiluMulBackward(Data(saved[0]), Data(saved[1]), Data(dy), dy.numel(), Data(dgate), Data(dup));
    return {dgate, dup};
  }
};

// With n rows, s = gain / sqrt(variance + eps) and g the gradient behind the affine part:
//   dgain = (sum(g x) - mean sum(g)) / sqrt(variance + eps),  dbias = sum(g)
//   dx = s (g - sum(g) / n - (x - mean) dgain / (n sqrt(variance + eps)))
struct BatchNormFunction : Function<BatchNormFunction> {
  static Tensor forward(AutogradContext* context, Tensor x, Tensor gain, Tensor bias, double eps,
                        bool gelu, Tensor mean, Tensor variance) {
    x = x.contiguous();
    const int64_t columns = x.size(-1), rows = x.numel() / columns;
    ColumnMoments(Data(x), rows, columns, Data(mean), Data(variance));
    const Tensor inverse = (variance + eps).rsqrt();
    const Tensor scale = gain * inverse;
    const Tensor shift = bias - mean * scale;
    Tensor y = torch::empty_like(x);
    ScaleShift(Data(x), rows, columns, Data(scale), Data(shift), gelu, Data(y));
    context->save_for_backward({x, scale, shift, mean.clone(), inverse});
    context->saved_data["gelu"] = gelu;
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &scale = saved[1], &shift = saved[2], &mean = saved[3],
                 &inverse = saved[4];
    const Tensor dy = gradients[0].contiguous();
    const int64_t columns = x.size(-1), rows = x.numel() / columns;
    Tensor g = torch::empty_like(x), sum_g = torch::empty_like(scale),
           sum_gx = torch::empty_like(scale);
    ScaleShiftBackward(Data(x), Data(dy), rows, columns, Data(scale), Data(shift),
                       context->saved_data["gelu"].toBool(), Data(g), Data(sum_g), Data(sum_gx));
    const Tensor dgain = (sum_gx - mean * sum_g) * inverse;
    const double n = static_cast<double>(rows);
    const Tensor b = (scale * inverse * dgain / -n).contiguous();
    const Tensor c = (scale * sum_g / -n - b * mean).contiguous();
    Combine(Data(g), Data(x), rows, columns, Data(scale), Data(b), Data(c), Data(g));
    return {g, dgain, sum_g, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

struct RmsNormFunction : Function<RmsNormFunction> {
  static Tensor forward(AutogradContext* context, Tensor x, Tensor gain, double eps) {
    x = x.contiguous();
    const int64_t columns = x.size(-1), rows = x.numel() / columns;
    Tensor y = torch::empty_like(x), r = torch::empty({rows});
    RmsNormForward(Data(x), Data(gain), rows, columns, static_cast<float>(eps), Data(y), Data(r));
    context->save_for_backward({x, gain, r});
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor dy = gradients[0].contiguous();
    const int64_t columns = dy.size(-1), rows = dy.numel() / columns;
    Tensor dx = torch::empty_like(dy), dgain = torch::empty_like(saved[1]);
    RmsNormBackward(Data(saved[0]), Data(saved[1]), Data(saved[2]), Data(dy), rows, columns,
                    Data(dx), Data(dgain));
    return {dx, dgain, Tensor()};
  }
};

struct AttentionShape {
  int64_t batch, tokens, heads, kv_heads, dim;
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(dim)); }
};

// A matrix product of row-major blocks, c = alpha a b + beta c; `a_rows` etc. are row strides.
void Product(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
             const float* a, int64_t a_rows, const float* b, int64_t b_rows, float beta, float* c,
             int64_t c_rows) {
  const auto flag = [](bool transpose) { return transpose ? CblasTrans : CblasNoTrans; };
  cblas_sgemm(CblasRowMajor, flag(transpose_a), flag(transpose_b), static_cast<int>(m),
              static_cast<int>(n), static_cast<int>(k), alpha, a, static_cast<int>(a_rows), b,
              static_cast<int>(b_rows), beta, c, static_cast<int>(c_rows));
}

void HideUnseen(const int32_t* segments, int64_t tokens, float* scores) {
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t s = 0; s < tokens; ++s) {
      const bool seen = s <= t && (segments[s] == 0 || segments[s] == segments[t]);
      if (!seen) scores[t * tokens + s] = -1e30f;
    }
  }
}

struct AttentionFunction : Function<AttentionFunction> {
  static Tensor forward(AutogradContext* context, Tensor q, Tensor k, Tensor v, Tensor segments) {
    q = q.contiguous();
    k = k.contiguous();
    v = v.contiguous();
    const AttentionShape s{q.size(0), q.size(1), q.size(2), k.size(2), q.size(3)};
    const int64_t q_rows = s.heads * s.dim, kv_rows = s.kv_heads * s.dim;
    Tensor y = torch::empty_like(q);
    Tensor probabilities = torch::empty({s.batch, s.heads, s.tokens, s.tokens});
    float* p = Data(probabilities);
    for (int64_t b = 0; b < s.batch; ++b) {
      for (int64_t h = 0; h < s.heads; ++h, p += s.tokens * s.tokens) {
        const int64_t q_at = b * s.tokens * q_rows + h * s.dim;
        const int64_t kv_at = b * s.tokens * kv_rows + h / (s.heads / s.kv_heads) * s.dim;
        Product(false, true, s.tokens, s.tokens, s.dim, s.scale(), Data(q) + q_at, q_rows,
                Data(k) + kv_at, kv_rows, 0, p, s.tokens);
        if (segments.numel() > 0) {
          HideUnseen(segments.data_ptr<int32_t>() + b * s.tokens, s.tokens, p);
        }
        SoftmaxRows(p, s.tokens, s.tokens);
        Product(false, false, s.tokens, s.dim, s.tokens, 1, p, s.tokens, Data(v) + kv_at, kv_rows,
                0, Data(y) + q_at, q_rows);
      }
    }
    context->save_for_backward({q, k, v, probabilities});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    const Tensor dy = gradients[0].contiguous();
    const AttentionShape s{q.size(0), q.size(1), q.size(2), k.size(2), q.size(3)};
    const int64_t q_rows = s.heads * s.dim, kv_rows = s.kv_heads * s.dim;
    const int64_t group = s.heads / s.kv_heads;
    Tensor dq = torch::empty_like(q), dk = torch::empty_like(k), dv = torch::empty_like(v);
    std::vector<float> dp(s.tokens * s.tokens);
    const float* p = Data(saved[3]);
    for (int64_t b = 0; b < s.batch; ++b) {
      for (int64_t h = 0; h < s.heads; ++h, p += s.tokens * s.tokens) {
        const int64_t q_at = b * s.tokens * q_rows + h * s.dim;
        const int64_t kv_at = b * s.tokens * kv_rows + h / group * s.dim;
        const float add = h % group == 0 ? 0.0f : 1.0f;
        Product(true, false, s.tokens, s.dim, s.tokens, 1, p, s.tokens, Data(dy) + q_at, q_rows,
                add, Data(dv) + kv_at, kv_rows);
        Product(false, true, s.tokens, s.tokens, s.dim, 1, Data(dy) + q_at, q_rows, Data(v) + kv_at,
                kv_rows, 0, dp.data(), s.tokens);
        SoftmaxBackwardRows(p, s.tokens, s.tokens, dp.data());
        Product(false, false, s.tokens, s.dim, s.tokens, s.scale(), dp.data(), s.tokens,
                Data(k) + kv_at, kv_rows, 0, Data(dq) + q_at, q_rows);
        Product(true, false, s.tokens, s.dim, s.tokens, s.scale(), dp.data(), s.tokens,
                Data(q) + q_at, q_rows, add, Data(dk) + kv_at, kv_rows);
      }
    }
    return {dq, dk, dv, Tensor()};
  }
};

// The rotation by the given angles, or back.
Tensor Rotated(const Tensor& x, const Tensor& cos, const Tensor& sin, float direction) {
  const int64_t heads = x.size(2), half = x.size(3) / 2, rows = x.numel() / (heads * half * 2);
  Tensor y = torch::empty_like(x);
  for (int64_t t = 0; t < rows; ++t) {
    const float* c = Data(cos) + t * half;
    const float* s = Data(sin) + t * half;
    for (int64_t h = 0; h < heads; ++h) {
      const float* in = Data(x) + (t * heads + h) * half * 2;
      float* out = Data(y) + (t * heads + h) * half * 2;
      for (int64_t i = 0; i < half; ++i) {
        out[i] = in[i] * c[i] - direction * in[half + i] * s[i];
        out[half + i] = in[half + i] * c[i] + direction * in[i] * s[i];
      }
    }
  }
  return y;
}

struct RopeFunction : Function<RopeFunction> {
  static Tensor forward(AutogradContext* context, Tensor x, Tensor cos, Tensor sin) {
    context->save_for_backward({cos, sin});
    return Rotated(x.contiguous(), cos, sin, 1);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {Rotated(gradients[0].contiguous(), saved[0], saved[1], -1), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor Depthwise(const Tensor& x, const Tensor& weight, int64_t stride) {
  return DepthwiseFunction::apply(x, weight, stride);
}

Tensor StemPatches(const Tensor& x) {
  const int64_t batch = x.size(0), height = x.size(1), width = x.size(2);
  const int64_t out_height = (height + 1) / 2, out_width = (width + 1) / 2;
  Tensor patches = torch::zeros({batch, out_height, out_width, 27});
  float* out = Data(patches);
  for (int64_t b = 0; b < batch; ++b) {
    const float* image = Data(x) + b * height * width * 3;
    for (int64_t r = 0; r < out_height; ++r) {
      for (int64_t q = 0; q < out_width; ++q, out += 27) {
        for (int64_t i = 0; i < 3; ++i) {
          const int64_t row = 2 * r - 1 + i;
          if (row < 0 || row >= height) continue;
          for (int64_t j = 0; j < 3; ++j) {
            const int64_t column = 2 * q - 1 + j;
            if (column < 0 || column >= width) continue;
            const float* pixel = image + (row * width + column) * 3;
            for (int64_t c = 0; c < 3; ++c) out[(i * 3 + j) * 3 + c] = pixel[c];
          }
        }
      }
    }
  }
  return patches;
}

Tensor Linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return torch::linear(x, weight, bias).to(torch::kFloat);
}

void FlushDenormals() { at::globalContext().setFlushDenormal(true); }

Bf16Products::Bf16Products(bool enabled) : enabled_(enabled) {
  if (!enabled_) return;
  at::autocast::set_autocast_cpu_dtype(torch::kBFloat16);
  at::autocast::set_cpu_enabled(true);
  at::autocast::increment_nesting();
}

Bf16Products::~Bf16Products() {
  if (!enabled_) return;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_cpu_enabled(false);
}

Tensor Gelu(const Tensor& x) { return GeluFunction::apply(x); }

Tensor SiluMul(const Tensor& gate, const Tensor& up) { return SiluMulFunction::apply(gate, up); }

Tensor BatchNorm(const Tensor& x, const Tensor& gain, const Tensor& bias, double eps, bool gelu,
                 Moments* moments) {
  moments->mean = torch::empty({x.size(-1)});
  moments->variance = torch::empty({x.size(-1)});
  return BatchNormFunction::apply(x, gain, bias, eps, gelu, moments->mean, moments->variance);
}

Tensor RmsNorm(const Tensor& x, const Tensor& gain, double eps) {
  return RmsNormFunction::apply(x, gain, eps);
}

Tensor Attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& segments) {
  // An autograd function takes no undefined tensor.
  return AttentionFunction::apply(q, k, v,
                                  segments.defined() ? segments : torch::empty({0}, torch::kInt32));
}

Tensor Rope(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  return RopeFunction::apply(x, cos, sin);
}

}  // namespace fastvlm::train
