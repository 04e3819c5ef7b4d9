#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/float16.h"
#include "kernels/attention_f32/attention_f32.h"
#include "kernels/kv_widen/kv_widen.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

class KvWidenTest : public ::testing::TestWithParam<KvWidenVariant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

TEST_P(KvWidenTest, EveryFiniteF16) {
  GuardedBuffer<uint16_t> x(0x10000);
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const bool finite = (bits & 0x7c00u) != 0x7c00u;
    x[bits] = static_cast<uint16_t>(finite ? bits : 0);
  }
  GuardedBuffer<float> y(0x10000);
  GetParam().f16(x.data(), 0x10000, y.data());
  for (size_t i = 0; i < 0x10000; ++i) ASSERT_EQ(y[i], F32FromF16(x[i])) << i;
}

TEST_P(KvWidenTest, PanelsOfEightBits) {
  TestRandom random;
  for (int64_t rows : {1, 2, 3, 32, 33, 64}) {
    const auto count = static_cast<size_t>(rows * kAttentionPanel);
    GuardedBuffer<int8_t> x(count);
    for (size_t i = 0; i < count; ++i) x[i] = static_cast<int8_t>(random.Integer(-128, 127));
    GuardedBuffer<float> lanes(kAttentionPanel), tokens(static_cast<size_t>(rows));
    random.Fill(lanes.data(), lanes.size(), -2, 2);
    random.Fill(tokens.data(), tokens.size(), -2, 2);
    GuardedBuffer<float> by_lane(count), by_row(count);
    GetParam().int8_by_lane(x.data(), lanes.data(), rows, by_lane.data());
    GetParam().int8_by_row(x.data(), tokens.data(), rows, by_row.data());
    for (size_t i = 0; i < count; ++i) {
      const auto value = static_cast<float>(x[i]);
      ASSERT_EQ(by_lane[i], value * lanes[i % kAttentionPanel]) << rows << " rows, " << i;
      ASSERT_EQ(by_row[i], value * tokens[i / kAttentionPanel]) << rows << " rows, " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, KvWidenTest,
                         ::testing::ValuesIn(KvWidenVariants().begin(), KvWidenVariants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(KvWidenDispatch, ForcedIsaRuns) {
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (!CpuSupports(isa)) continue;
    const Isa before = SetMaxIsaForTesting(isa);
    EXPECT_EQ(BestKvWiden().isa, isa);
    SetMaxIsaForTesting(before);
  }
}

}  // namespace
}  // namespace fastvlm
