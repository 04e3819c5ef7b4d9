// Linear layers of the real models, in GFLOP/s and as a share of what a loop of multiply-adds
// reaches on this machine in the same run; decoding, in GB/s of weights, as a share of reading.
//   gemm_bench [threads] [repetitions] [shapes whose name contains this]
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

#include "base/cpu_features.h"
#include "base/float16.h"
#include "measure/machine_peak.h"
#include "ops/ffn.h"
#include "ops/linear.h"

namespace fastvlm {
namespace {

struct Shape {
  std::string_view name;
  int64_t m, n, k;
};

constexpr Shape kShapes[] = {
    {"stage 1 fc1", 65536, 384, 96},  {"stage 1 fc2", 65536, 96, 384},
    {"stage 2 fc1", 16384, 768, 192}, {"stage 2 fc2", 16384, 192, 768},
    {"stage 3 fc1", 4096, 1536, 384}, {"stage 3 fc2", 4096, 384, 1536},
    {"stage 4 fc1", 1024, 3072, 768}, {"stage 4 fc2", 1024, 768, 3072},
    {"stage 5 fc1", 256, 6144, 1536}, {"stage 5 fc2", 256, 1536, 6144},
    {"prefill up", 280, 4864, 896},   {"prefill down", 280, 896, 4864},
    {"prefill qkv", 280, 1152, 896},  {"batch 8 up", 8, 4864, 896},
    {"decode 4 up", 4, 4864, 896},    {"decode 2 up", 2, 4864, 896},
    {"decode up", 1, 4864, 896},      {"decode down", 1, 896, 4864},
    {"decode qkv", 1, 1152, 896},     {"decode lm_head", 1, 151646, 896},
};

constexpr Shape kFfnShapes[] = {
    {"stage 1 ffn", 65536, 384, 96},  {"stage 2 ffn", 16384, 768, 192},
    {"stage 3 ffn", 4096, 1536, 384}, {"stage 4 ffn", 1024, 3072, 768},
    {"stage 5 ffn", 256, 6144, 1536},
};

// Of the encoder and of the decoder.
// What a thread does at a time, so short that many of its passes go undisturbed on a shared
// machine.
constexpr Shape kPieceShapes[] = {
    {"stage 1 piece", 96, 384, 96},    {"stage 2 piece", 96, 768, 192},
    {"stage 3 piece", 96, 1536, 384},  {"stage 4 piece", 96, 3072, 768},
    {"stage 5 piece", 96, 6144, 1536},
};
constexpr double kPieceSeconds = 1.0;

constexpr LinearFormat kImageFormats[] = {LinearFormat::kExact, LinearFormat::kBf16,
                                          LinearFormat::kQ8Pairs};
constexpr LinearFormat kTextFormats[] = {LinearFormat::kExact, LinearFormat::kBf16,
                                         LinearFormat::kQ8, LinearFormat::kQ4};

// Decoding passes over all weights of a model: enough copies that no cache holds them.
constexpr size_t kColdBytes = size_t{256} << 20;

PackedLinear MakeWeights(int64_t n, int64_t k, LinearFormat format, ThreadPool& pool) {
  std::vector<uint16_t> narrow(static_cast<size_t>(n * k));
  for (size_t i = 0; i < narrow.size(); ++i) {
    narrow[i] = Bf16FromF32(static_cast<float>(i * 7919 % 255) / 255.0f - 0.5f);
  }
  std::vector<float> wide(narrow.size());
  for (size_t i = 0; i < wide.size(); ++i) wide[i] = F32FromBf16(narrow[i]);
  return PackedLinear::Pack(wide.data(), WeightType::kF32, n, k, nullptr, format, pool);
}

std::vector<float> MakeRows(int64_t rows, int64_t columns) {
  std::vector<float> x(static_cast<size_t>(rows * columns));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 104729 % 511) / 511 - 0.5f;
  return x;
}

std::string_view FormatName(LinearFormat format) {
  switch (format) {
    case LinearFormat::kExact:
      return "f32";
    case LinearFormat::kBf16:
      return "bf16";
    case LinearFormat::kBf16Weights:
      return "bf16 weights";
    case LinearFormat::kQ8:
    case LinearFormat::kQ8Pairs:
      return "q8";
    case LinearFormat::kQ4:
      return "q4";
  }
  return "";
}

// What loops of multiply-adds reach, measured before and after each product: a shared machine is
// not always as fast.
class Peaks {
 public:
  void Measure(ThreadPool& pool) {
    f32 = std::max(f32, MeasurePeakGflops(pool));
    f16 = std::max(f16, MeasurePeakF16Gflops(pool));
    bf16 = std::max(bf16, MeasurePeakBf16Gflops(pool));
    int8 = std::max(int8, MeasurePeakInt8Gops(pool));
  }
  // In the arithmetic of the layer's products.
  double Of(const PackedLinear& weights) const {
    switch (weights.products()) {
      case LinearProducts::kF32:
        return f32;
      case LinearProducts::kBf16:
        return bf16;
      case LinearProducts::kF16:
        return f16;
      case LinearProducts::kInt8:
        return int8;
    }
    return f32;
  }

  double f32 = 0, f16 = 0, bf16 = 0, int8 = 0;
};

template <typename Body>
double BestSeconds(int repetitions, int threads, const Body& body) {
  double best = 1e30;
  for (int i = 0; i < repetitions; ++i) {
    const double begin = BenchmarkTime(threads);
    body();
    best = std::min(best, BenchmarkTime(threads) - begin);
  }
  return best;
}

void BenchLinear(const Shape& shape, LinearFormat format, Activation activation, int repetitions,
                 double read_gbps, ThreadPool& pool) {
  const auto [name, m, n, k] = shape;
  std::vector<PackedLinear> copies;
  copies.push_back(MakeWeights(n, k, format, pool));
  const bool decode = m <= 4;
  while (decode && copies.size() * copies[0].bytes() < kColdBytes) {
    copies.push_back(MakeWeights(n, k, format, pool));
  }
  const std::vector<float> x = MakeRows(m, k);
  std::vector<float> y(static_cast<size_t>(m * n));
  Buffer<uint8_t> scratch(LinearScratchBytes(copies[0], m));
  Peaks peaks;
  peaks.Measure(pool);
  const Epilogue epilogue = {.activation = activation};
  const double all = BestSeconds(repetitions, pool.threads(), [&] {
    for (const PackedLinear& weights : copies) {
      Linear(weights, x.data(), m, k, y.data(), n, epilogue, scratch.data(), pool);
    }
  });
  peaks.Measure(pool);
  const double seconds = all / static_cast<double>(copies.size());
  const double gflops = 2e-9 * static_cast<double>(m * n * k) / seconds;
  fmt::print("{:15} {:6} x {:6} x {:4}  {:4}{}  {:9.3f} ms  {:7.1f} GFLOP/s  {:5.1f} %", name, m, n,
             k, FormatName(format), activation == Activation::kGelu ? " gelu" : "     ",
             seconds * 1e3, gflops, 100 * gflops / peaks.Of(copies[0]));
  if (decode) {
    const double gbps = 1e-9 * static_cast<double>(copies[0].bytes()) / seconds;
    fmt::print("  {:5.1f} GB/s  {:5.1f} % of reading", gbps, 100 * gbps / read_gbps);
  }
  fmt::print("\n");
  std::fflush(stdout);
}

void BenchFfn(const Shape& shape, LinearFormat format, int repetitions, ThreadPool& pool) {
  const auto [name, m, hidden, channels] = shape;
  const PackedLinear fc1 = MakeWeights(hidden, channels, format, pool);
  const PackedLinear fc2 = MakeWeights(channels, hidden, format, pool);
  const std::vector<float> x = MakeRows(m, channels);
  const std::vector<float> scale(static_cast<size_t>(channels), 0.5f);
  std::vector<float> y = x;
  Buffer<uint8_t> scratch(FfnScratchBytes(fc1, fc2, pool.threads()));
  Peaks peaks;
  peaks.Measure(pool);
  const double seconds = BestSeconds(repetitions, pool.threads(), [&] {
    Ffn(fc1, fc2, x.data(), m, y.data(), scale.data(), y.data(), scratch.data(), pool);
  });
  peaks.Measure(pool);
  const double gflops = 4e-9 * static_cast<double>(m * hidden * channels) / seconds;
  fmt::print("{:15} {:6} x {:6} x {:4}  {:4}       {:9.3f} ms  {:7.1f} GFLOP/s  {:5.1f} %\n", name,
             m, hidden, channels, FormatName(format), seconds * 1e3, gflops,
             100 * gflops / peaks.Of(fc1));
  std::fflush(stdout);
}

void Main(int threads, int repetitions, std::string_view filter) {
  ThreadPool pool(threads);
  const std::vector<float> memory(kColdBytes / sizeof(float), 1.0f);
  const double read_gbps = MeasureReadGbps(memory.data(), memory.size(), pool);
  Peaks peaks;
  peaks.Measure(pool);
  fmt::print(
      "{}, {}, {} thread(s): {:.1f} GFLOP/s f32, {:.1f} bf16, {:.1f} f16, {:.1f} GOP/s 8-bit, "
      "reads {:.1f} GB/s\n",
      CpuModelName(), IsaName(MaxIsa()), threads, peaks.f32, peaks.bf16, peaks.f16, peaks.int8,
      read_gbps);
  for (const Shape& shape : kShapes) {
    if (shape.name.find(filter) == std::string_view::npos) continue;
    const bool image = shape.name.starts_with("stage");
    const auto formats = image ? std::span<const LinearFormat>(kImageFormats) : kTextFormats;
    for (LinearFormat format : formats) {
      BenchLinear(shape, format, Activation::kNone, repetitions, read_gbps, pool);
      if (!shape.name.ends_with("fc1")) continue;
      BenchLinear(shape, format, Activation::kGelu, repetitions, read_gbps, pool);
    }
  }
  for (const Shape& shape : kFfnShapes) {
    if (shape.name.find(filter) == std::string_view::npos) continue;
    for (LinearFormat format : kImageFormats) BenchFfn(shape, format, repetitions, pool);
  }
  for (const Shape& shape : kPieceShapes) {
    if (shape.name.find(filter) == std::string_view::npos) continue;
    const double operations = 4.0 * static_cast<double>(shape.m * shape.n * shape.k);
    const auto passes = static_cast<int>(kPieceSeconds * 300e9 / operations);
    for (LinearFormat format : kImageFormats) BenchFfn(shape, format, passes, pool);
  }
}

}  // namespace
}  // namespace fastvlm

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : fastvlm::PhysicalCoreCount();
  const int repetitions = argc > 2 ? std::atoi(argv[2]) : 10;
  fastvlm::Main(std::max(1, threads), std::max(1, repetitions), argc > 3 ? argv[3] : "");
}
