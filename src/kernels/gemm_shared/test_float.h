// The tests that the kernels over weights that are not quantized share. A kernel's test.cc derives
// its kind of GemmProblem and instantiates GemmFloatTest with each of its variants.
#ifndef FASTVLM_KERNELS_GEMM_SHARED_TEST_FLOAT_H_
#define FASTVLM_KERNELS_GEMM_SHARED_TEST_FLOAT_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "base/round.h"
#include "kernels/gemm_shared/output.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {

inline double Activated(Activation activation, double x) {
  if (activation == Activation::kGelu) return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  if (activation == Activation::kSilu) return x / (1 + std::exp(-x));
  return x;
}

// `padding`: elements between two rows of x and of y, twice as many between those of the residual.
struct GemmShape {
  int64_t rows, columns, depth;
  int64_t padding = 0;
};

// One call of a kernel with every operand ending at an unreadable page.
class GemmProblem {
 public:
  GemmProblem(const GemmShape& shape, int64_t tile_n)
      : shape_(shape),
        padded_(RoundUp(shape.columns, tile_n)),
        values_(Size(shape.rows - 1, x_stride()) + Size(shape.depth, 1)),
        weight_(Size(shape.columns, shape.depth)),
        start_(Size(padded_, 1)),
        scale_(Size(shape.columns, 1)),
        residual_(Size(shape.rows - 1, residual_stride()) + Size(shape.columns, 1)),
        y_(Size(shape.rows - 1, y_stride()) + Size(shape.columns, 1)) {}
  virtual ~GemmProblem() = default;

  // Brings the operands into the kernel's types and layouts.
  virtual void Prepare() = 0;
  // Multiplies steps [begin, end) of the depth: a step is what a caller may not cut.
  virtual void Multiply(const GemmOutput& output, int64_t begin, int64_t end) = 0;
  virtual int64_t steps() const = 0;
  // The operands as the kernel is to take them.
  virtual double TakenX(int64_t i, int64_t p) const { return value(i, p); }
  virtual double TakenW(int64_t j, int64_t p) const { return weight(j, p); }
  // The greatest error before the activation of a result of operands that are random in [-1, 1].
  virtual double SumError() const = 0;
  // The activations' own errors at an argument of magnitude `size` at most.
  virtual double ActivationError(Activation activation, double size) const = 0;

  void Randomize(TestRandom& random) {
    random.Fill(values_.data(), values_.size(), -1, 1);
    random.Fill(weight_.data(), weight_.size(), -1, 1);
    random.Fill(start_.data(), start_.size(), -1, 1);
    random.Fill(scale_.data(), scale_.size(), -1, 1);
    random.Fill(residual_.data(), residual_.size(), -1, 1);
  }

  GemmOutput Output() {
    GemmOutput output;
    output.rows = shape_.rows;
    output.columns = shape_.columns;
    output.start = start_.data();
    output.y = y_.data();
    output.y_stride = y_stride();
    return output;
  }

  void Run(Activation activation = Activation::kNone, bool scale = false, bool residual = false) {
    Prepare();
    y_.Poison();
    GemmOutput output = Output();
    output.activation = activation;
    if (scale) output.scale = scale_.data();
    if (residual) output.residual = residual_.data();
    output.residual_stride = residual_stride();
    Multiply(output, 0, steps());
  }

  // All of |scale| and |residual| are at most 1. SiLU and GELU steepen by less than 1.13.
  void ExpectMatches(Activation activation, bool scale, bool residual) {
    const double size = 1 + static_cast<double>(shape_.depth);
    const bool none = activation == Activation::kNone;
    const double tolerance = (none ? 1 : 1.13) * SumError() + 4 * 0x1p-24 * (1 + size) +
                             (none ? 0 : ActivationError(activation, size));
    for (int64_t i = 0; i < shape_.rows; ++i) {
      for (int64_t j = 0; j < shape_.columns; ++j) {
        double expected = Activated(activation, Sum(i, j));
        if (scale) expected *= scale_[Size(j, 1)];
        if (residual) expected += residual_[Size(i, residual_stride()) + Size(j, 1)];
        ASSERT_NEAR(y(i, j), expected, tolerance) << shape_.rows << " x " << shape_.columns << " x "
                                                  << shape_.depth << " at " << i << ", " << j;
      }
      for (int64_t j = shape_.columns; j < y_stride() && i + 1 < shape_.rows; ++j) {
        ASSERT_TRUE(y_.IsPoison(y(i, j)));
      }
    }
  }

  double Sum(int64_t i, int64_t j) const {
    double sum = start(j);
    for (int64_t p = 0; p < shape_.depth; ++p) sum += TakenX(i, p) * TakenW(j, p);
    return sum;
  }

  std::vector<float> Result() {
    std::vector<float> result;
    for (int64_t i = 0; i < shape_.rows; ++i) {
      for (int64_t j = 0; j < shape_.columns; ++j) result.push_back(y(i, j));
    }
    return result;
  }

  float& value(int64_t i, int64_t p) { return values_[Size(i, x_stride()) + Size(p, 1)]; }
  float value(int64_t i, int64_t p) const { return Mutable().value(i, p); }
  float& weight(int64_t j, int64_t p) { return weight_[Size(j, depth()) + Size(p, 1)]; }
  float weight(int64_t j, int64_t p) const { return Mutable().weight(j, p); }
  float& start(int64_t j) { return start_[Size(j, 1)]; }
  float start(int64_t j) const { return Mutable().start(j); }
  float& y(int64_t i, int64_t j) { return y_[Size(i, y_stride()) + Size(j, 1)]; }

  // The operands of rows [first, first + rows()) of another problem.
  void CopyOperands(const GemmProblem& from, int64_t first = 0) {
    for (int64_t p = 0; p < depth(); ++p) {
      for (int64_t i = 0; i < rows(); ++i) value(i, p) = from.value(first + i, p);
    }
    weight_ = from.weight_;
    for (int64_t j = 0; j < columns(); ++j) start(j) = from.start(j);
  }

  int64_t rows() const { return shape_.rows; }
  int64_t columns() const { return shape_.columns; }
  int64_t depth() const { return shape_.depth; }

 protected:
  int64_t padded_columns() const { return padded_; }
  int64_t x_stride() const { return shape_.depth + shape_.padding; }
  const GemmShape& shape() const { return shape_; }
  float* values() { return values_.data(); }
  const float* weights() const { return weight_.data(); }

 private:
  GemmProblem& Mutable() const { return const_cast<GemmProblem&>(*this); }
  int64_t y_stride() const { return shape_.columns + shape_.padding; }
  int64_t residual_stride() const { return shape_.columns + 2 * shape_.padding; }

  GemmShape shape_;
  int64_t padded_;
  GuardedBuffer<float> values_;
  std::vector<float> weight_;  // [columns, depth]
  GuardedBuffer<float> start_, scale_, residual_, y_;
};

// A variant of a kernel, and the sizes that are of interest to it.
struct GemmCase {
  std::string name;
  Isa isa;
  int64_t tile_m, tile_n;
  std::vector<int64_t> depths;  // short ones, about what the kernel takes together
  int64_t cut_depth;            // of several steps
  std::vector<int64_t> cuts;    // steps at which this depth may be cut
  std::function<std::unique_ptr<GemmProblem>(const GemmShape& shape)> make;
};

class GemmFloatTest : public ::testing::TestWithParam<GemmCase> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }

  void ExpectMatches(TestRandom& random, int64_t rows, int64_t columns, int64_t depth) {
    const auto problem = GetParam().make({rows, columns, depth, random.Integer(0, 1) * 3});
    problem->Randomize(random);
    const bool scale = random.Integer(0, 1) == 1;
    const bool residual = random.Integer(0, 1) == 1;
    for (Activation activation : {Activation::kNone, Activation::kGelu, Activation::kSilu}) {
      problem->Run(activation, scale, residual);
      problem->ExpectMatches(activation, scale, residual);
    }
  }
};

TEST_P(GemmFloatTest, MatchesDoubleAndStaysInItsBuffers) {
  TestRandom random;
  const int64_t m = GetParam().tile_m, n = GetParam().tile_n;
  for (int64_t rows :
       {int64_t{1}, int64_t{2}, int64_t{3}, int64_t{5}, m - 1, m, m + 1, 2 * m + 5}) {
    if (rows == 0) continue;
    for (int64_t columns : {int64_t{1}, int64_t{2}, int64_t{3}, n / 2 - 1, n / 2, n / 2 + 1, n - 1,
                            n, n + 1, 2 * n + 7, 4 * n - 1, 4 * n + 1, 9 * n}) {
      for (int64_t depth : GetParam().depths) ExpectMatches(random, rows, columns, depth);
    }
  }
}

TEST_P(GemmFloatTest, EveryNumberOfRowsUpToTwoTiles) {
  TestRandom random;
  for (int64_t rows = 1; rows <= 2 * GetParam().tile_m; ++rows) ExpectMatches(random, rows, 37, 19);
}

TEST_P(GemmFloatTest, MatchesDoubleAtRealDepths) {
  TestRandom random;
  for (int64_t depth : {96, 896, 4864}) {
    ExpectMatches(random, 1, 131, depth);
    ExpectMatches(random, 13, 67, depth);
  }
}

// A row has the same bits alone and among others.
TEST_P(GemmFloatTest, RowsDoNotMatter) {
  TestRandom random;
  const int64_t rows = 2 * GetParam().tile_m + 3, columns = 5 * GetParam().tile_n;
  const int64_t depth = GetParam().cut_depth;
  const auto all = GetParam().make({rows, columns, depth});
  all->Randomize(random);
  all->Run();
  for (int64_t i = 0; i < rows; ++i) {
    const auto alone = GetParam().make({1, columns, depth});
    alone->CopyOperands(*all, i);
    alone->Run();
    for (int64_t j = 0; j < columns; ++j) ASSERT_EQ(alone->y(0, j), all->y(i, j)) << i << ", " << j;
  }
}

// A depth that is cut in two has the same bits: the sums so far are the start of the second call.
TEST_P(GemmFloatTest, CutsDoNotMatter) {
  TestRandom random;
  const int64_t columns = 3 * GetParam().tile_n;
  for (int64_t rows : {int64_t{1}, 2 * GetParam().tile_m + 3}) {
    const auto problem = GetParam().make({rows, columns, GetParam().cut_depth});
    problem->Randomize(random);
    problem->Run();
    const std::vector<float> whole = problem->Result();
    for (int64_t cut : GetParam().cuts) {
      GemmOutput output = problem->Output();
      problem->Multiply(output, 0, cut);
      output.start = output.y;
      output.start_stride = output.y_stride;
      problem->Multiply(output, cut, problem->steps());
      EXPECT_EQ(problem->Result(), whole) << cut;
    }
  }
}

TEST_P(GemmFloatTest, ResidualMayBeTheOutput) {
  const int64_t rows = GetParam().tile_m + 1, columns = GetParam().tile_n + 3;
  const auto problem = GetParam().make({rows, columns, 2});
  for (int64_t p = 0; p < 2; ++p) {
    for (int64_t i = 0; i < rows; ++i) problem->value(i, p) = 2;
    for (int64_t j = 0; j < columns; ++j) problem->weight(j, p) = 3;
  }
  for (int64_t j = 0; j < columns; ++j) problem->start(j) = 0;
  problem->Prepare();
  GemmOutput output = problem->Output();
  output.residual = output.y;
  output.residual_stride = output.y_stride;
  const auto number = [&](int64_t i, int64_t j) { return static_cast<float>(i * columns + j); };
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) problem->y(i, j) = number(i, j);
  }
  problem->Multiply(output, 0, problem->steps());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) EXPECT_EQ(problem->y(i, j), number(i, j) + 12);
  }
}

TEST_P(GemmFloatTest, Extremes) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  TestRandom random;
  for (int64_t rows : {int64_t{1}, int64_t{2}, GetParam().tile_m}) {
    const int64_t columns = GetParam().tile_n + 5;
    const auto problem = GetParam().make({rows, columns, 3});
    const auto run = [&](float x, float w, float start) {
      problem->Randomize(random);
      problem->value(rows - 1, 1) = x;
      problem->weight(columns - 1, 1) = w;
      problem->start(columns - 1) = start;
      problem->Run();
      return problem->y(rows - 1, columns - 1);
    };
    EXPECT_EQ(run(kInf, 1, 0), kInf);
    EXPECT_EQ(run(-kInf, 1, 0), -kInf);
    EXPECT_EQ(run(1, -kInf, 0), -kInf);
    EXPECT_EQ(run(3e38f, 3e38f, 0), kInf);
    EXPECT_EQ(run(1, 1, kInf), kInf);
    EXPECT_TRUE(std::isnan(run(kInf, 0, 0)));
    EXPECT_TRUE(std::isnan(run(1, 1, NAN)));
    EXPECT_TRUE(std::isnan(run(NAN, 1, 0)));
    EXPECT_TRUE(std::isnan(run(1, NAN, 0)));
    // What is in one row or column stays there.
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j + 1 < columns; ++j) EXPECT_TRUE(std::isfinite(problem->y(i, j)));
    }
    // No result of a row with an infinity is finite, because no weight is zero.
    run(kInf, 1, 0);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        EXPECT_EQ(std::isfinite(problem->y(i, j)), i + 1 < rows) << i << ", " << j;
      }
    }
  }
}

// Large values of the start, so that the activations' arguments are large.
TEST_P(GemmFloatTest, ActivationsOfLargeArguments) {
  const int64_t n = GetParam().tile_n;
  const auto problem = GetParam().make({1, n, 1});
  const float values[] = {0, -0.0f, 1, -1, 3, -3, 6, -6, 20, -20, 100, -100, 6e4f, -6e4f, 1e30f};
  problem->value(0, 0) = 0;
  for (int64_t j = 0; j < n; ++j) {
    problem->weight(j, 0) = 0;
    problem->start(j) = values[static_cast<size_t>(j) % std::size(values)];
  }
  for (Activation activation : {Activation::kGelu, Activation::kSilu}) {
    problem->Run(activation);
    for (int64_t j = 0; j < n; ++j) {
      const double x = problem->start(j), size = std::max(1.0, std::fabs(x));
      EXPECT_NEAR(problem->y(0, j), Activated(activation, x),
                  problem->ActivationError(activation, size))
          << x;
    }
  }
}

inline std::string GemmCaseName(const ::testing::TestParamInfo<GemmCase>& info) {
  return info.param.name;
}

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_SHARED_TEST_FLOAT_H_
