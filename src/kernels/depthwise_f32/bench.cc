#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/depthwise_f32/depthwise_f32.h"

namespace fastvlm {
namespace {

// Every depthwise convolution of FastViTHD at 1024x1024.
struct Shape {
  const char* name;
  int kernel, stride, multiplier;
  bool gelu;
  int64_t side, in_channels;
};
constexpr Shape kShapes[] = {
    {"stem", 3, 2, 1, true, 512, 96},           {"stage1_mixer", 3, 1, 1, false, 256, 96},
    {"stage2_mixer", 3, 1, 1, false, 128, 192}, {"stage3_mixer", 3, 1, 1, false, 64, 384},
    {"stage1_ffn", 7, 1, 1, false, 256, 96},    {"stage2_ffn", 7, 1, 1, false, 128, 192},
    {"stage3_ffn", 7, 1, 1, false, 64, 384},    {"stage4_ffn", 7, 1, 1, false, 32, 768},
    {"stage5_ffn", 7, 1, 1, false, 16, 1536},   {"down2", 7, 2, 2, true, 256, 96},
    {"down3", 7, 2, 2, true, 128, 192},         {"down4", 7, 2, 2, true, 64, 384},
    {"down5", 7, 2, 2, true, 32, 768},          {"final", 3, 1, 2, false, 16, 1536},
};

void BM_DepthwiseF32(benchmark::State& state, const DepthwiseF32Variant& variant,
                     const Shape& shape) {
  if (!CpuSupports(variant.isa)) {
    state.SkipWithError("not supported by this CPU");
    return;
  }
  const int64_t out_side = (shape.side + shape.stride - 1) / shape.stride;
  DepthwiseF32Block block;
  block.kernel = shape.kernel;
  block.stride = shape.stride;
  block.multiplier = shape.multiplier;
  block.gelu = shape.gelu;
  block.channels = shape.in_channels * shape.multiplier;
  const int64_t taps = int64_t{shape.kernel} * shape.kernel;
  std::vector<float> x(static_cast<size_t>(shape.side * shape.side * shape.in_channels), 0.5f);
  std::vector<float> weight(static_cast<size_t>(taps * block.channels), 0.25f);
  std::vector<float> bias(static_cast<size_t>(block.channels), 0.125f);
  std::vector<float> y(static_cast<size_t>(out_side * out_side * block.channels));
  block.x = x.data();
  block.height = block.width = shape.side;
  block.x_row_stride = shape.side * shape.in_channels;
  block.x_pixel_stride = shape.in_channels;
  block.weight = weight.data();
  block.weight_tap_stride = block.channels;
  block.bias = bias.data();
  block.y = y.data();
  block.y_row_stride = out_side * block.channels;
  block.y_pixel_stride = block.channels;
  block.row_end = out_side;
  for (auto _ : state) {
    variant.fn(block);
    benchmark::ClobberMemory();
  }
  using benchmark::Counter;
  state.counters["FLOP/s"] =
      Counter(2.0 * static_cast<double>(taps * static_cast<int64_t>(y.size())),
              Counter::kIsIterationInvariantRate);
  state.counters["B/s"] = Counter(static_cast<double>(4 * (x.size() + weight.size() + y.size())),
                                  Counter::kIsIterationInvariantRate);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const DepthwiseF32Variant& variant : DepthwiseF32Variants()) {
    for (const Shape& shape : kShapes) {
      benchmark::RegisterBenchmark(
          ("depthwise_f32/" + std::string(variant.name) + "/" + shape.name).c_str(),
          [&](benchmark::State& state) { BM_DepthwiseF32(state, variant, shape); });
    }
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
