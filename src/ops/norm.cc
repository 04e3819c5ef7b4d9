#include "ops/norm.h"

#include "kernels/layer_norm/layer_norm.h"
#include "kernels/rms_norm/rms_norm.h"
#include "ops/units.h"

namespace fastvlm {

void LayerNorm(const float* x, int64_t tokens, int64_t channels, const float* gain,
               const float* bias, float eps, float* y, ThreadPool& pool) {
  const double size = static_cast<double>(tokens * channels);
  const ProfileScope scope(pool.profile(), "layer norm", {8 * size, 0, 8 * size});
  const LayerNormFn kernel = BestLayerNorm().fn;
  ForUnits(tokens, channels, pool, [&](int64_t first, int64_t count) {
    kernel(x + first * channels, count, channels, gain, bias, eps, y + first * channels);
  });
}

void RmsNorm(const float* x, int64_t tokens, int64_t hidden, const float* gain, float eps, float* y,
             ThreadPool& pool) {
  const double size = static_cast<double>(tokens * hidden);
  const ProfileScope scope(pool.profile(), "rms norm", {4 * size, 0, 8 * size});
  const RmsNormFn kernel = BestRmsNorm().fn;
  ForUnits(tokens, hidden, pool, [&](int64_t first, int64_t count) {
    kernel(x + first * hidden, count, hidden, gain, eps, y + first * hidden);
  });
}

}  // namespace fastvlm
