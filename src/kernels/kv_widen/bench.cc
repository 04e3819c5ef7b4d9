#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/attention_f32/attention_f32.h"
#include "kernels/kv_widen/kv_widen.h"

namespace fastvlm {
namespace {

// The blocks that one task of decoding widens: 256 tokens of head_dim 64.
constexpr int64_t kCount = 4 * AttentionBlockFloats(64);

void BM_F16(benchmark::State& state, const KvWidenVariant& variant) {
  if (!CpuSupports(variant.isa)) return state.SkipWithError("not supported by this CPU");
  const std::vector<uint16_t> x(kCount, 0x3c00);
  std::vector<float> y(kCount);
  for (auto _ : state) {
    variant.f16(x.data(), kCount, y.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * kCount * 2);
}

void BM_Int8(benchmark::State& state, const KvWidenVariant& variant) {
  if (!CpuSupports(variant.isa)) return state.SkipWithError("not supported by this CPU");
  const std::vector<int8_t> x(kCount, 1);
  const std::vector<float> scale(kCount, 0.5f);
  std::vector<float> y(kCount);
  for (auto _ : state) {
    variant.int8_by_row(x.data(), scale.data(), kCount / kAttentionPanel, y.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * kCount);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const KvWidenVariant& variant : KvWidenVariants()) {
    const std::string name(variant.name);
    benchmark::RegisterBenchmark(("kv_widen/f16/" + name).c_str(),
                                 [&variant](benchmark::State& state) { BM_F16(state, variant); });
    benchmark::RegisterBenchmark(("kv_widen/int8/" + name).c_str(),
                                 [&variant](benchmark::State& state) { BM_Int8(state, variant); });
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
