#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/squeeze_excite/squeeze_excite.h"

namespace fastvlm {
namespace {

// All of FastViTHD's squeeze-and-excitation at 1024x1024: 256 pixels, 3072 channels, 192 reduced.
void BM_SqueezeExcite(benchmark::State& state, const SqueezeExciteVariant& variant) {
  if (!CpuSupports(variant.isa)) {
    state.SkipWithError("not supported by this CPU");
    return;
  }
  const int64_t pixels = 256, channels = 3072, reduced = 192;
  const std::vector<float> x(static_cast<size_t>(pixels * channels), 0.5f);
  std::vector<float> y(x.size());
  std::vector<float> weight(static_cast<size_t>(reduced * channels), 0.01f);
  // The scales come out between 1 and 1e-26.
  std::vector<float> bias(static_cast<size_t>(channels));
  for (size_t c = 0; c < bias.size(); ++c) bias[c] = -80.0f * static_cast<float>(c) / 3072.0f;
  std::vector<float> mean(bias.size()), hidden(static_cast<size_t>(reduced));
  for (auto _ : state) {
    state.PauseTiming();
    y = x;  // repeated scaling would end in denormals
    state.ResumeTiming();
    variant.channel_mean(y.data(), pixels, channels, channels, mean.data());
    variant.excite_rows(weight.data(), bias.data(), mean.data(), reduced, channels,
                        SqueezeExciteActivation::kRelu, hidden.data());
    variant.excite_rows(weight.data(), bias.data(), hidden.data(), channels, reduced,
                        SqueezeExciteActivation::kSigmoid, mean.data());
    variant.scale_gelu(y.data(), pixels, channels, channels, mean.data());
    benchmark::ClobberMemory();
  }
  state.counters["B/s"] =
      benchmark::Counter(static_cast<double>(4 * (3 * y.size() + 2 * weight.size())),
                         benchmark::Counter::kIsIterationInvariantRate);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const SqueezeExciteVariant& variant : SqueezeExciteVariants()) {
    benchmark::RegisterBenchmark(
        ("squeeze_excite/" + std::string(variant.name)).c_str(),
        [&variant](benchmark::State& state) { BM_SqueezeExcite(state, variant); });
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
