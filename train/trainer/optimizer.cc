#include "train/trainer/optimizer.h"

#include <cmath>

namespace fastvlm::train {
namespace {

constexpr float kBeta1 = 0.9f, kBeta2 = 0.98f, kEpsilon = 1e-8f;

struct Factors {
  float gradient, rate, decay, correction1, correction2;
};

void UpdateOne(const float* g, int64_t n, const Factors& f, float* value, float* mean,
               float* variance) {
  for (int64_t i = 0; i < n; ++i) {
    const float gradient = g[i] * f.gradient;
    mean[i] = kBeta1 * mean[i] + (1 - kBeta1) * gradient;
    variance[i] = kBeta2 * variance[i] + (1 - kBeta2) * gradient * gradient;
    const float step =
        mean[i] * f.correction1 / (std::sqrt(variance[i] * f.correction2) + kEpsilon);
    value[i] -= f.rate * (step + f.decay * value[i]);
  }
}

double SquaredNorm(const float* g, int64_t n) {
  double sum = 0;
  for (int64_t begin = 0; begin < n; begin += 1024) {
    float part = 0;
    for (int64_t i = begin; i < std::min(n, begin + 1024); ++i) part += g[i] * g[i];
    sum += part;
  }
  return sum;
}

}  // namespace

std::vector<Parameter> ParametersOf(const torch::nn::Module& module) {
  std::vector<Parameter> parameters;
  for (const auto& item : module.named_parameters()) {
    Parameter& parameter = parameters.emplace_back();
    parameter.name = item.key();
    parameter.value = item.value();
    parameter.mean = torch::zeros_like(parameter.value);
    parameter.variance = torch::zeros_like(parameter.value);
    parameter.decay = parameter.value.dim() == 2;
    parameter.encoder = parameter.name.starts_with("encoder.");
  }
  return parameters;
}

double UpdateParameters(const std::vector<torch::Tensor>& gradients, const AdamStep& step,
                        std::vector<Parameter>* parameters, ThreadPool& pool) {
  const auto count = static_cast<int64_t>(parameters->size());
  std::vector<double> squares(parameters->size(), 0.0);
  pool.ParallelFor(count, [&](int64_t i, int) {
    if (gradients[i].defined()) {
      squares[i] = SquaredNorm(gradients[i].data_ptr<float>(), gradients[i].numel());
    }
  });
  double total = 0;
  for (const double square : squares) total += square;
  const double norm = std::sqrt(total);
  if (!std::isfinite(norm)) return norm;
  const auto power = static_cast<double>(step.step);
  Factors base{};
  base.gradient = static_cast<float>(step.clip > 0 && norm > step.clip ? step.clip / norm : 1.0);
  base.correction1 = static_cast<float>(1 / (1 - std::pow(kBeta1, power)));
  base.correction2 = static_cast<float>(1 / (1 - std::pow(kBeta2, power)));
  pool.ParallelFor(count, [&](int64_t i, int) {
    Parameter& p = (*parameters)[i];
    const double factor = p.encoder ? step.encoder_factor : 1;
    if (!gradients[i].defined() || factor == 0) return;
    Factors factors = base;
    factors.rate = static_cast<float>(step.learning_rate * factor);
    factors.decay = static_cast<float>(p.decay ? step.weight_decay : 0);
    UpdateOne(gradients[i].data_ptr<float>(), p.value.numel(), factors, p.value.data_ptr<float>(),
              p.mean.data_ptr<float>(), p.variance.data_ptr<float>());
  });
  return norm;
}

}  // namespace fastvlm::train
