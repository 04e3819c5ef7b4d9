#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <string>

#include "kernels/peak/peak.h"
#include "support/executed_isa.h"
#include "support/guarded_buffer.h"

namespace fastvlm {
namespace {

using PeakLoop = double (*)(long iterations, float* sink);

class PeakTest : public ::testing::TestWithParam<PeakVariant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

// All sums of a loop together, where every input is `one`, and the operations that it claims.
struct Outcome {
  double sums = 0;
  double operations;
};
Outcome RunLoop(PeakLoop loop, long iterations, float one) {
  GuardedBuffer<float> sink(kPeakSinkFloats);
  std::fill(sink.data(), sink.data() + sink.size(), one);
  Outcome outcome;
  outcome.operations = loop(iterations, sink.data());
  for (size_t i = 0; i < sink.size(); ++i) outcome.sums += sink[i];
  return outcome;
}

// If all inputs are 1, each multiply-add raises its sum by 1, so the sums count what was done. So
// few iterations that sums of f16 are exact.
TEST_P(PeakTest, ClaimsTheOperationsThatItsSumsCount) {
  const float bf16_ones = std::bit_cast<float>(0x3f803f80u);  // two of them
  const PeakVariant& variant = GetParam();
  const struct {
    PeakLoop loop;
    float one;
  } loops[] = {{variant.f32, 1}, {variant.int8, 1}, {variant.bf16, bf16_ones}, {variant.f16, 1}};
  for (const auto& [loop, one] : loops) {
    if (loop == nullptr) continue;
    const Outcome none = RunLoop(loop, 0, one);
    EXPECT_EQ(none.operations, 0);
    for (long iterations : {1, 7, 50}) {
      const Outcome some = RunLoop(loop, iterations, one);
      EXPECT_GT(some.operations, 0);
      EXPECT_EQ(some.operations, 2 * (some.sums - none.sums)) << iterations << " iterations";
    }
  }
}

TEST_P(PeakTest, ReadsEveryFloatOnce) {
  for (size_t size : {size_t{0}, size_t{4096}, size_t{1} << 16}) {
    GuardedBuffer<float> data(size);
    double expected = 0;
    for (size_t i = 0; i < size; ++i) {
      data[i] = static_cast<float>(i % 7);
      expected += data[i];
    }
    // Small integers: the sum is exact in any order.
    EXPECT_EQ(GetParam().read(data.data(), size), static_cast<float>(expected)) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, PeakTest,
                         ::testing::ValuesIn(PeakVariants().begin(), PeakVariants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

// Of a row of AVX-512 some loops may need less than the row does, but not all of them.
TEST(PeakDispatch, ForcedIsaRuns) {
  ExpectForcedIsaRuns(PeakVariants(), BestPeak, [](const PeakVariant& variant) {
    for (PeakLoop loop : {variant.f32, variant.int8, variant.bf16, variant.f16}) {
      if (loop != nullptr) RunLoop(loop, 1, 1);
    }
  });
}

}  // namespace
}  // namespace fastvlm
