#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/peak/peak.h"
#include "support/guarded_buffer.h"

namespace fastvlm {
namespace {

class PeakTest : public ::testing::TestWithParam<PeakVariant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

TEST_P(PeakTest, OperationsGrowWithIterations) {
  for (auto loop : {GetParam().f32, GetParam().int8, GetParam().bf16, GetParam().f16}) {
    if (loop == nullptr) continue;
    GuardedBuffer<float> sink(kPeakSinkFloats);
    std::fill(sink.data(), sink.data() + sink.size(), 0.0f);
    const double once = loop(1000, sink.data());
    EXPECT_GT(once, 1000);
    EXPECT_EQ(loop(3000, sink.data()), 3 * once);
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

}  // namespace
}  // namespace fastvlm
