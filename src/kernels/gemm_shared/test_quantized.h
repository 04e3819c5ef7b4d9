// The tests that the kernels over quantized weights share. A kernel's test.cc includes this file
// and instantiates GemmQuantizedTest with its format and each of its variants.
#ifndef FASTVLM_KERNELS_GEMM_SHARED_TEST_QUANTIZED_H_
#define FASTVLM_KERNELS_GEMM_SHARED_TEST_QUANTIZED_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/float16.h"
#include "base/round.h"
#include "kernels/gemm_shared/quantized_variant.h"
#include "kernels/quantize_rows/args.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {

struct QuantizedFormat {
  int min, max;  // of a weight
  bool nibbles;
};

struct QuantizedCase {
  QuantizedFormat format;
  GemmQuantizedVariant variant;
};

// Weights [columns][blocks * 32] in the layout the headers describe.
class QuantizedPanels {
 public:
  QuantizedPanels(const QuantizedCase& test, int64_t columns, int64_t blocks)
      : test_(test),
        blocks_(blocks),
        bytes_(static_cast<size_t>(CeilDiv(columns, test.variant.tile_n) * panel_stride())) {
    std::memset(bytes_.data(), 0, bytes_.size());
  }

  int64_t panel_stride() const { return blocks_ * test_.variant.block_bytes; }
  uint8_t* data() { return bytes_.data(); }

  void SetWeight(int64_t j, int64_t p, int q) {
    const auto [byte, shift] = Place(j, p);
    const int mask = test_.format.nibbles ? 15 << shift : 255;
    *byte = static_cast<uint8_t>((*byte & ~mask) | ((q + test_.variant.offset) << shift & mask));
  }
  int Weight(int64_t j, int64_t p) {
    const auto [byte, shift] = Place(j, p);
    if (test_.format.nibbles) return (*byte >> shift & 15) - test_.variant.offset;
    return test_.variant.offset == 0 ? static_cast<int8_t>(*byte) : *byte - test_.variant.offset;
  }
  void SetScale(int64_t j, int64_t b, uint16_t half) {
    std::memcpy(ScaleAt(j, b), &half, sizeof(half));
  }
  float Scale(int64_t j, int64_t b) {
    uint16_t half;
    std::memcpy(&half, ScaleAt(j, b), sizeof(half));
    return F32FromF16(half);
  }

 private:
  struct ByteAndShift {
    uint8_t* byte;
    int shift;
  };
  uint8_t* BlockOf(int64_t j, int64_t b) {
    return bytes_.data() + j / test_.variant.tile_n * panel_stride() +
           b * test_.variant.block_bytes;
  }
  ByteAndShift Place(int64_t j, int64_t p) {
    const GemmQuantizedVariant& v = test_.variant;
    const int64_t width = test_.format.nibbles ? v.tile_n / 2 : v.tile_n;
    const int64_t c = j % v.tile_n, d = p % kQuantBlock;
    uint8_t* byte = BlockOf(j, p / kQuantBlock) + d / v.group * width * v.group +
                    c % width * v.group + d % v.group;
    return {byte, c < width ? 0 : 4};
  }
  uint8_t* ScaleAt(int64_t j, int64_t b) {
    return BlockOf(j, b) + test_.variant.block_bytes - 2 * test_.variant.tile_n +
           j % test_.variant.tile_n * 2;
  }

  QuantizedCase test_;
  int64_t blocks_;
  GuardedBuffer<uint8_t> bytes_;
};

// One call of a kernel with every operand ending at an unreadable page.
class QuantizedProblem {
 public:
  QuantizedProblem(const QuantizedCase& test, int64_t rows, int64_t columns, int64_t blocks,
                   int64_t padding)
      : weights(test, columns, blocks),
        test_(test),
        rows_(rows),
        columns_(columns),
        blocks_(blocks),
        y_stride_(columns + padding),
        x_(Size(CeilDiv(rows, test.variant.tile_m) * tile_bytes())),
        start_(Size(CeilDiv(columns, test.variant.tile_n) * test.variant.tile_n)),
        y_(Size(rows * y_stride_ - padding)) {}

  int64_t depth() const { return blocks_ * kQuantBlock; }

  void Randomize(TestRandom& random) {
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t p = 0; p < depth(); ++p) SetX(i, p, random.Integer(-127, 127));
    }
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t b = 0; b < blocks_; ++b) SetXScale(i, b, random.Uniform(0, 0.01f));
    }
    random.Fill(start_.data(), start_.size(), -1, 1);
    for (int64_t j = 0; j < columns_; ++j) {
      for (int64_t p = 0; p < depth(); ++p) {
        weights.SetWeight(j, p, random.Integer(test_.format.min, test_.format.max));
      }
      for (int64_t b = 0; b < blocks_; ++b) {
        weights.SetScale(j, b, F16FromF32(random.Uniform(-0.01f, 0.01f)));
      }
    }
  }

  void SetX(int64_t i, int64_t p, int q) {
    uint8_t* at = XAt(i, p / kQuantBlock) + p % kQuantBlock * test_.variant.x_bytes;
    const auto narrow = static_cast<int8_t>(q);
    const auto wide = static_cast<int16_t>(q);
    std::memcpy(at, test_.variant.x_bytes == 1 ? static_cast<const void*>(&narrow) : &wide,
                Size(test_.variant.x_bytes));
  }
  int X(int64_t i, int64_t p) {
    const uint8_t* at = XAt(i, p / kQuantBlock) + p % kQuantBlock * test_.variant.x_bytes;
    int16_t wide;
    std::memcpy(&wide, at, Size(test_.variant.x_bytes));
    return test_.variant.x_bytes == 1 ? static_cast<int8_t>(*at) : wide;
  }
  void SetXScale(int64_t i, int64_t b, float scale) { std::memcpy(ScaleAt(i, b), &scale, 4); }
  float XScale(int64_t i, int64_t b) {
    float scale;
    std::memcpy(&scale, ScaleAt(i, b), 4);
    return scale;
  }
  float& start(int64_t j) { return start_[Size(j)]; }
  float y(int64_t i, int64_t j) { return y_[Size(i * y_stride_ + j)]; }

  GemmQuantizedArgs Args() {
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t b = 0; b < blocks_; ++b) {
        int32_t start = 0;
        for (int64_t p = 0; p < kQuantBlock; ++p) {
          start -= test_.variant.offset * X(i, b * kQuantBlock + p);
        }
        std::memcpy(ScaleAt(i, b) + test_.variant.tile_m * 4, &start, 4);
      }
    }
    GemmQuantizedArgs args;
    args.rows = rows_;
    args.columns = columns_;
    args.start = start_.data();
    args.y = y_.data();
    args.y_stride = y_stride_;
    args.blocks = blocks_;
    args.x = x_.data();
    args.x_stride = tile_bytes();
    args.weights = weights.data();
    args.panel_stride = weights.panel_stride();
    return args;
  }

  // With `wide`, through widen and wide_fn.
  void Run(bool wide, Activation activation = Activation::kNone) {
    y_.Poison();
    GemmQuantizedArgs args = Args();
    args.activation = activation;
    const GemmQuantizedVariant& variant = test_.variant;
    if (!wide) return variant.fn(args);
    const int64_t panels = CeilDiv(columns_, variant.tile_n);
    GuardedBuffer<uint8_t> unpacked(Size(panels * blocks_ * variant.wide_block_bytes));
    for (int64_t p = 0; p < panels; ++p) {
      variant.widen(weights.data() + p * weights.panel_stride(), blocks_,
                    unpacked.data() + p * blocks_ * variant.wide_block_bytes);
    }
    args.weights = unpacked.data();
    args.panel_stride = blocks_ * variant.wide_block_bytes;
    variant.wide_fn(args);
  }

  // Through pairs_fn; the scales are equal in pairs.
  void RunPairs() {
    y_.Poison();
    const GemmQuantizedArgs args = Args();
    // The start of a pair is with its first block.
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t b = 0; b < blocks_; b += 2) {
        int32_t start[2];
        for (int h = 0; h < 2; ++h) {
          std::memcpy(&start[h], ScaleAt(i, b + h) + test_.variant.tile_m * 4, 4);
        }
        start[0] += start[1];
        start[1] = 0;
        for (int h = 0; h < 2; ++h) {
          std::memcpy(ScaleAt(i, b + h) + test_.variant.tile_m * 4, &start[h], 4);
        }
      }
    }
    test_.variant.pairs_fn(args);
  }

  float Expected(int64_t i, int64_t j) {
    float sum = start_[Size(j)];
    for (int64_t b = 0; b < blocks_; ++b) {
      int32_t dot = 0;
      for (int64_t p = b * kQuantBlock; p < (b + 1) * kQuantBlock; ++p) {
        dot += X(i, p) * weights.Weight(j, p);
      }
      sum = std::fma(static_cast<float>(dot), XScale(i, b) * weights.Scale(j, b), sum);
    }
    return sum;
  }

  void ExpectExact(const std::string& what) {
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < columns_; ++j) {
        ASSERT_EQ(y(i, j), Expected(i, j)) << what << ": " << rows_ << " x " << columns_ << " x "
                                           << blocks_ << " blocks at " << i << ", " << j;
      }
      for (int64_t j = columns_; j < y_stride_ && i + 1 < rows_; ++j) {
        ASSERT_TRUE(y_.IsPoison(y_[Size(i * y_stride_ + j)]));
      }
    }
  }

  QuantizedPanels weights;

 private:
  static size_t Size(int64_t size) { return static_cast<size_t>(size); }

  int64_t x_block_bytes() const {
    return QuantizedBlockBytes(test_.variant.tile_m, test_.variant.x_bytes);
  }
  int64_t tile_bytes() const { return blocks_ * x_block_bytes(); }
  uint8_t* BlockOfX(int64_t i, int64_t b) {
    return x_.data() + i / test_.variant.tile_m * tile_bytes() + b * x_block_bytes();
  }
  uint8_t* XAt(int64_t i, int64_t b) {
    return BlockOfX(i, b) + i % test_.variant.tile_m * kQuantBlock * test_.variant.x_bytes;
  }
  uint8_t* ScaleAt(int64_t i, int64_t b) {
    const GemmQuantizedVariant& v = test_.variant;
    return BlockOfX(i, b) + v.tile_m * kQuantBlock * v.x_bytes + i % v.tile_m * 4;
  }

  QuantizedCase test_;
  int64_t rows_, columns_, blocks_, y_stride_;
  GuardedBuffer<uint8_t> x_;
  GuardedBuffer<float> start_, y_;
};

class GemmQuantizedTest : public ::testing::TestWithParam<QuantizedCase> {
 protected:
  void SetUp() override {
    const Isa isa = GetParam().variant.isa;
    if (!CpuSupports(isa)) GTEST_SKIP() << "this CPU has no " << IsaName(isa);
  }
  void ExpectExact(QuantizedProblem& problem) {
    problem.Run(false);
    problem.ExpectExact("packed");
    if (GetParam().variant.widen == nullptr) return;
    problem.Run(true);
    problem.ExpectExact("widened");
  }
};

TEST_P(GemmQuantizedTest, IsExactAndStaysInItsBuffers) {
  TestRandom random;
  const int64_t m = GetParam().variant.tile_m, n = GetParam().variant.tile_n;
  for (int64_t rows = 1; rows <= 2 * m + 5; ++rows) {
    for (int64_t columns : {int64_t{1}, n / 2, n / 2 + 1, n - 1, n, n + 1, 4 * n + 3}) {
      QuantizedProblem problem(GetParam(), rows, columns, 1 + (rows + columns) % 3,
                               random.Integer(0, 1) * 3);
      problem.Randomize(random);
      ExpectExact(problem);
    }
  }
}

TEST_P(GemmQuantizedTest, IsExactAtRealDepths) {
  TestRandom random;
  for (int64_t blocks : {3, 28, 152}) {
    for (int64_t rows : {1, 13}) {
      QuantizedProblem problem(GetParam(), rows, 67, blocks, 0);
      problem.Randomize(random);
      ExpectExact(problem);
    }
  }
}

// The greatest magnitudes of all signs: nothing saturates or wraps.
TEST_P(GemmQuantizedTest, ExtremesDoNotOverflow) {
  const int64_t columns = GetParam().variant.tile_n + 1;
  for (int x : {-127, 127}) {
    for (int w : {GetParam().format.min, GetParam().format.max}) {
      for (int64_t rows : {int64_t{1}, int64_t{2}, GetParam().variant.tile_m}) {
        QuantizedProblem problem(GetParam(), rows, columns, 2, 0);
        TestRandom random;
        problem.Randomize(random);
        for (int64_t p = 0; p < problem.depth(); ++p) {
          for (int64_t i = 0; i < rows; ++i) problem.SetX(i, p, x);
          for (int64_t j = 0; j < columns; ++j) problem.weights.SetWeight(j, p, w);
        }
        ExpectExact(problem);
      }
    }
  }
}

TEST_P(GemmQuantizedTest, ScalesThatAreNotFiniteShow) {
  TestRandom random;
  const int64_t columns = GetParam().variant.tile_n + 5;
  QuantizedProblem problem(GetParam(), 2, columns, 2, 0);
  problem.Randomize(random);
  problem.SetXScale(1, 1, std::numeric_limits<float>::quiet_NaN());
  problem.Run(false);
  for (int64_t j = 0; j < columns; ++j) {
    EXPECT_TRUE(std::isfinite(problem.y(0, j)));
    EXPECT_TRUE(std::isnan(problem.y(1, j)));
  }
}

// The depth cut in two, the sums so far being the start of the second call.
TEST_P(GemmQuantizedTest, CutsDoNotMatter) {
  TestRandom random;
  const GemmQuantizedVariant& variant = GetParam().variant;
  const int64_t rows = variant.tile_m + 1, columns = 2 * variant.tile_n, blocks = 5, cut = 2;
  QuantizedProblem problem(GetParam(), rows, columns, blocks, 0);
  problem.Randomize(random);
  std::vector<float> y(static_cast<size_t>(rows * columns));
  GemmQuantizedArgs half = problem.Args();
  half.y = y.data();
  half.y_stride = columns;
  half.blocks = cut;
  variant.fn(half);
  half.blocks = blocks - cut;
  half.x += cut * QuantizedBlockBytes(variant.tile_m, variant.x_bytes);
  half.weights += cut * variant.block_bytes;
  half.start = y.data();
  half.start_stride = columns;
  variant.fn(half);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      ASSERT_EQ(y[static_cast<size_t>(i * columns + j)], problem.Expected(i, j));
    }
  }
}

TEST_P(GemmQuantizedTest, ScaleResidualAndActivation) {
  TestRandom random;
  const GemmQuantizedVariant& variant = GetParam().variant;
  const int64_t rows = variant.tile_m, columns = variant.tile_n + 3;
  QuantizedProblem problem(GetParam(), rows, columns, 2, 0);
  problem.Randomize(random);
  std::vector<float> scale(static_cast<size_t>(columns)), y(static_cast<size_t>(rows * columns));
  random.Fill(scale.data(), scale.size(), -1, 1);
  for (Activation activation : {Activation::kNone, Activation::kGelu, Activation::kSilu}) {
    random.Fill(y.data(), y.size(), -1, 1);
    const std::vector<float> residual = y;
    GemmQuantizedArgs args = problem.Args();
    args.activation = activation;
    args.scale = scale.data();
    args.residual = y.data();
    args.residual_stride = columns;
    args.y = y.data();
    args.y_stride = columns;
    variant.fn(args);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        double value = problem.Expected(i, j);
        if (activation == Activation::kGelu) value *= 0.5 * (1 + std::erf(value / std::sqrt(2.0)));
        if (activation == Activation::kSilu) value /= 1 + std::exp(-value);
        const size_t at = static_cast<size_t>(i * columns + j);
        ASSERT_NEAR(y[at], residual[at] + scale[static_cast<size_t>(j)] * value,
                    1e-6 * (2 + std::fabs(value)) + (activation == Activation::kGelu ? 8e-5 : 0));
      }
    }
  }
}

inline std::string QuantizedCaseName(const ::testing::TestParamInfo<QuantizedCase>& info) {
  return std::string(info.param.variant.name);
}

inline std::vector<QuantizedCase> QuantizedCases(const QuantizedFormat& format,
                                                 std::span<const GemmQuantizedVariant> variants) {
  std::vector<QuantizedCase> cases;
  for (const GemmQuantizedVariant& variant : variants) cases.push_back({format, variant});
  return cases;
}

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_SHARED_TEST_QUANTIZED_H_
