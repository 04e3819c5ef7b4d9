// Against blocks.gguf, which the Python package gguf wrote; see
// tests/reference/make_gguf_golden.py.
#include "checkpoint/gguf_blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "checkpoint/gguf.h"

namespace fastvlm {
namespace {

const std::string kBlocksFile = FASTVLM_SOURCE_DIR "/tests/golden/gguf/blocks.gguf";

std::vector<uint32_t> Bits(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

class GgufBlocks : public testing::Test {
 protected:
  void SetUp() override {
    auto file = MappedFile::Open(kBlocksFile);
    ASSERT_TRUE(file.ok()) << file.status().message();
    file_ = std::move(file).value();
    auto gguf = ParseGguf(file_.bytes(), kBlocksFile);
    ASSERT_TRUE(gguf.ok()) << gguf.status().message();
    for (const StoredTensor& stored : gguf->tensors) tensors_[stored.tensor.name] = stored.tensor;
  }

  MappedFile file_;
  std::map<std::string, Tensor> tensors_;
};

TEST_F(GgufBlocks, ValuesAreThoseOfTheReferenceBitForBit) {
  for (const char* name : {"Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"}) {
    const Tensor& blocks = tensors_.at(name);
    const std::vector<float> expected = tensors_.at(std::string(name) + ".values").ToF32();
    ASSERT_EQ(DtypeName(blocks.dtype), name);
    ASSERT_EQ(blocks.shape, (std::vector<int64_t>{4, 512}));
    EXPECT_THAT(Bits(blocks.ToF32()), testing::ElementsAreArray(Bits(expected))) << name;
  }
}

TEST_F(GgufBlocks, AnyStretchOfValuesCanBeRead) {
  for (const char* name : {"Q5_0", "Q6_K"}) {
    const Tensor& blocks = tensors_.at(name);
    const std::vector<float> all = blocks.ToF32();
    for (const auto& [first, count] :
         std::vector<std::pair<int64_t, int64_t>>{{0, 1}, {31, 2}, {500, 40}, {513, 700}, {7, 0}}) {
      std::vector<float> part(static_cast<size_t>(count) + 1, -7.0f);
      blocks.CopyToF32(first, count, part.data());
      const std::vector<float> expected(all.begin() + first, all.begin() + first + count);
      EXPECT_EQ(part.back(), -7.0f);
      part.pop_back();
      EXPECT_THAT(Bits(part), testing::ElementsAreArray(Bits(expected))) << name << " " << first;
    }
  }
}

// All rows of a tensor of F32 values, quantized by us.
std::vector<uint8_t> Encode(const Tensor& values, Dtype dtype) {
  const std::vector<float> in = values.ToF32();
  Tensor blocks;
  blocks.dtype = dtype;
  blocks.shape = values.shape;
  std::vector<uint8_t> bytes(static_cast<size_t>(values.shape[0] * blocks.row_bytes()));
  for (int64_t i = 0; i < values.shape[0]; ++i) {
    EncodeRow(dtype, in.data() + i * values.row_elements(), values.row_elements(),
              bytes.data() + i * blocks.row_bytes());
  }
  return bytes;
}

TEST_F(GgufBlocks, QuantizedBytesAreThoseOfTheReferenceWhereF16HoldsTheScale) {
  for (const std::string name : {"Q8_0", "Q4_0"}) {
    const Tensor& expected = tensors_.at("exact." + name);
    const std::vector<uint8_t> bytes =
        Encode(tensors_.at("exact." + name + ".values"), expected.dtype);
    EXPECT_THAT(bytes, testing::ElementsAreArray(expected.data, bytes.size())) << name;
  }
}

// Where the scale has to be rounded to f16, the reference divides by the scale as it was before,
// and we divide by the scale that readers will multiply with: never a worse value, often a better.
TEST_F(GgufBlocks, ARoundedScaleIsThatOfTheReferenceAndTheValuesAreNoFartherOff) {
  for (const std::string name : {"Q8_0", "Q4_0"}) {
    const Tensor& reference = tensors_.at("quantized." + name);
    const Tensor& values = tensors_.at("quantized." + name + ".values");
    const std::vector<uint8_t> bytes = Encode(values, reference.dtype);
    const size_t block_bytes = name == "Q8_0" ? 34 : 18;
    ASSERT_EQ(bytes.size(), 32 * block_bytes);
    for (size_t at = 0; at < bytes.size(); at += block_bytes) {
      EXPECT_EQ(bytes[at], reference.data[at]) << name << " block " << at / block_bytes;
      EXPECT_EQ(bytes[at + 1], reference.data[at + 1]) << name << " block " << at / block_bytes;
    }
    Tensor ours = reference;
    ours.data = bytes.data();
    const std::vector<float> x = values.ToF32(), a = ours.ToF32(), b = reference.ToF32();
    for (size_t i = 0; i < x.size(); ++i) {
      const double here = std::abs(double{a[i]} - x[i]), there = std::abs(double{b[i]} - x[i]);
      EXPECT_LE(here, there * (1 + 1e-6)) << name << " value " << i;
    }
  }
}

TEST(GgufBlocksRow, AShortLastBlockIsFilledWithZeros) {
  const std::vector<float> row = {1, -2, 127};
  Tensor tensor;
  tensor.dtype = Dtype::kQ80;
  tensor.shape = {1, 3};
  ASSERT_EQ(tensor.row_bytes(), 34);
  std::vector<uint8_t> bytes(34, 0xaa);
  EncodeRow(Dtype::kQ80, row.data(), 3, bytes.data());
  EXPECT_TRUE(std::all_of(bytes.begin() + 5, bytes.end(), [](uint8_t b) { return b == 0; }));
  tensor.data = bytes.data();
  EXPECT_THAT(tensor.ToF32(), testing::ElementsAreArray(row));
}

}  // namespace
}  // namespace fastvlm
