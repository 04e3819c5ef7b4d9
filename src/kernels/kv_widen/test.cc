#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/float16.h"
#include "kernels/attention_f32/attention_f32.h"
#include "kernels/kv_widen/kv_widen.h"
#include "support/executed_isa.h"
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
  const std::vector<uint16_t> half(64);
  const std::vector<int8_t> x(4 * kAttentionPanel);
  const std::vector<float> scale(kAttentionPanel, 1.0f);
  std::vector<float> y(4 * kAttentionPanel);
  ExpectForcedIsaRuns(KvWidenVariants(), BestKvWiden, [&](const KvWidenVariant& variant) {
    variant.f16(half.data(), 64, y.data());
  });
  ExpectForcedIsaRuns(KvWidenVariants(), BestKvWiden, [&](const KvWidenVariant& variant) {
    variant.int8_by_lane(x.data(), scale.data(), 4, y.data());
  });
  ExpectForcedIsaRuns(KvWidenVariants(), BestKvWiden, [&](const KvWidenVariant& variant) {
    variant.int8_by_row(x.data(), scale.data(), 4, y.data());
  });
}

}  // namespace
}  // namespace fastvlm
