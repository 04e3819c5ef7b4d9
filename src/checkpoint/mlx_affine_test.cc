#include "checkpoint/mlx_affine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "checkpoint/safetensors.h"

namespace fastvlm {
namespace {

struct Case {
  Tensor weight;
  std::vector<float> values;  // as MLX dequantizes them
};

// Of tests/golden/mlx, with what FindMlxPacking says about their shapes.
class MlxAffineTest : public ::testing::Test {
 protected:
  MlxAffineTest() {
    const std::string path =
        std::string(FASTVLM_SOURCE_DIR) + "/tests/golden/mlx/affine.safetensors";
    file_ = MappedFile::Open(path).value();
    std::map<std::string, StoredTensor> stored;
    const std::vector<StoredTensor> tensors = ParseSafetensors(file_.bytes(), path).value();
    for (const StoredTensor& tensor : tensors) stored[tensor.tensor.name] = tensor;
    for (const auto& [name, tensor] : stored) {
      if (!name.ends_with(".weight")) continue;
      const std::string prefix = name.substr(0, name.size() - 6);
      const Tensor& scales = stored.at(prefix + "scales").tensor;
      const Tensor& values = stored.at(prefix + "values").tensor;
      Case& added = cases_[prefix];
      added.values = values.ToF32();
      added.weight = tensor.tensor;
      added.weight.dtype = Dtype::kMlxAffine;
      MlxAffine& affine = added.weight.affine.emplace();
      affine.dtype = scales.dtype;
      affine.scales = scales.data;
      affine.biases = stored.at(prefix + "biases").tensor.data;
      EXPECT_TRUE(FindMlxPacking(values.shape[1], tensor.tensor.shape[1], scales.shape[1], &affine))
          << name;
      EXPECT_EQ(prefix,
                fmt::format("q{}.g{}.{}.", affine.bits, affine.group, DtypeName(affine.dtype)));
      added.weight.shape = values.shape;
    }
  }

  MappedFile file_;
  std::map<std::string, Case> cases_;
};

TEST_F(MlxAffineTest, EqualsMlx) {
  EXPECT_EQ(cases_.size(), 22u);
  for (const auto& [name, tested] : cases_) {
    EXPECT_EQ(tested.weight.ToF32(), tested.values) << name;
  }
}

TEST_F(MlxAffineTest, AnyRange) {
  const std::pair<int64_t, int64_t> ranges[] = {{0, 1},   {5, 3},    {31, 2},    {63, 66},
                                                {127, 1}, {200, 90}, {256, 256}, {1023, 1}};
  for (const auto& [name, tested] : cases_) {
    for (const auto& [first, count] : ranges) {
      std::vector<float> actual(static_cast<size_t>(count));
      tested.weight.CopyToF32(first, count, actual.data());
      const auto begin = tested.values.begin() + first;
      EXPECT_EQ(actual, std::vector<float>(begin, begin + count)) << name << first;
    }
  }
}

// The words of a mapped file lie at any address; a whole file of them has no byte to spare at the
// end either.
TEST_F(MlxAffineTest, AnyAlignmentAndNothingReadBeyondTheEnd) {
  for (const auto& [name, tested] : cases_) {
    const size_t bytes = static_cast<size_t>(tested.weight.bytes());
    std::vector<uint8_t> copy(bytes + 1);
    std::copy_n(tested.weight.data, bytes, copy.begin() + 1);
    Tensor moved = tested.weight;
    moved.data = copy.data() + 1;
    EXPECT_EQ(moved.ToF32(), tested.values) << name;
  }
}

TEST(FindMlxPackingTest, KnowsTheCombinationsOfMlx) {
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    for (const int64_t group : {32, 64, 128}) {
      MlxAffine affine;
      EXPECT_TRUE(FindMlxPacking(896, 896 * bits / 32, 896 / group, &affine)) << bits;
      EXPECT_EQ(affine.bits, bits);
      EXPECT_EQ(affine.group, group);
    }
  }
}

TEST(FindMlxPackingTest, RefusesOthers) {
  MlxAffine affine;
  const struct {
    int64_t columns, words, groups;
  } kCases[] = {{896, 112, 0},  {896, 0, 14},   {896, -112, 14},    {896, 112, 13},
                {896, 113, 14}, {896, 112, 56}, {896, 196, 14},     {896, 28, 14},
                {896, 896, 14}, {16, 2, 1},     {64, 8, INT64_MAX}, {64, INT64_MAX, 1}};
  for (const auto& bad : kCases) {
    EXPECT_FALSE(FindMlxPacking(bad.columns, bad.words, bad.groups, &affine))
        << bad.columns << " " << bad.words << " " << bad.groups;
  }
}

}  // namespace
}  // namespace fastvlm
