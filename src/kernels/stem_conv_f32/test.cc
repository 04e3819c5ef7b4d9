#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>

#include "kernels/stem_conv_f32/stem_conv_f32.h"
#include "support/executed_isa.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

class StemConvF32Test : public ::testing::TestWithParam<StemConvF32Variant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

// A convolution whose operands end at unreadable pages.
class Case {
 public:
  Case(int64_t height, int64_t width, int64_t channels, TestRandom& random)
      : height_(height),
        width_(width),
        channels_(channels),
        out_height_((height + 1) / 2),
        out_width_((width + 1) / 2),
        x_(static_cast<size_t>(height * width * 3)),
        weight_(static_cast<size_t>(27 * channels)),
        bias_(static_cast<size_t>(channels)),
        y_(static_cast<size_t>(out_height_ * out_width_ * channels)) {
    random.Fill(x_.data(), x_.size(), -2, 2);
    random.Fill(weight_.data(), weight_.size(), -1, 1);
    random.Fill(bias_.data(), bias_.size(), -1, 1);
  }

  StemConvF32Block Block() {
    StemConvF32Block b;
    b.x = x_.data();
    b.height = height_;
    b.width = width_;
    b.weight = weight_.data();
    b.bias = bias_.data();
    b.y = y_.data();
    b.channels = channels_;
    b.row_end = out_height_;
    return b;
  }

  float& X(int64_t row, int64_t column, int64_t ci) {
    return x_[static_cast<size_t>((row * width_ + column) * 3 + ci)];
  }
  float& Y(int64_t row, int64_t column, int64_t o) {
    return y_[static_cast<size_t>((row * out_width_ + column) * channels_ + o)];
  }
  int64_t out_height() const { return out_height_; }
  int64_t out_width() const { return out_width_; }

  void Check(int64_t begin, int64_t end) {
    for (int64_t row = 0; row < out_height_; ++row) {
      for (int64_t column = 0; column < out_width_; ++column) {
        for (int64_t o = 0; o < channels_; ++o) {
          if (row >= begin && row < end) {
            CheckElement(row, column, o);
          } else {
            ASSERT_TRUE(y_.IsPoison(Y(row, column, o)));
          }
        }
      }
    }
  }

 private:
  void CheckElement(int64_t row, int64_t column, int64_t o) {
    double sum = bias_[static_cast<size_t>(o)];
    double magnitude = std::abs(sum);
    for (int64_t i = 0; i < 27; ++i) {
      const int64_t r = 2 * row - 1 + i / 9;
      const int64_t c = 2 * column - 1 + i / 3 % 3;
      if (r < 0 || r >= height_ || c < 0 || c >= width_) continue;
      const double product =
          double{X(r, c, i % 3)} * weight_[static_cast<size_t>(i * channels_ + o)];
      sum += product;
      magnitude += std::abs(product);
    }
    const double expected = 0.5 * sum * (1 + std::erf(sum / std::sqrt(2.0)));
    const double tolerance =
        1.13 * 28 * std::ldexp(1.0, -24) * magnitude + 1e-6 * (1 + std::abs(sum));
    ASSERT_NEAR(Y(row, column, o), expected, tolerance)
        << height_ << "x" << width_ << " -> " << channels_ << ", at " << row << "," << column << ","
        << o;
  }

  int64_t height_, width_, channels_, out_height_, out_width_;
  GuardedBuffer<float> x_, weight_, bias_, y_;
};

TEST_P(StemConvF32Test, EveryImageSize) {
  TestRandom random;
  for (int64_t height : {1, 2, 3, 4, 5, 8, 13}) {
    for (int64_t width : {1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 18, 31, 32, 33, 34, 53}) {
      Case c(height, width, 1 + (height * width) % 29, random);
      GetParam().fn(c.Block());
      c.Check(0, c.out_height());
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(StemConvF32Test, EveryChannelCount) {
  TestRandom random;
  for (int64_t channels :
       {1, 2, 3, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48, 49, 64, 71, 96, 97, 113}) {
    Case c(6, 38, channels, random);
    GetParam().fn(c.Block());
    c.Check(0, c.out_height());
    if (HasFatalFailure()) return;
  }
}

TEST_P(StemConvF32Test, OnlyTheRowsAsked) {
  TestRandom random;
  for (const auto& [begin, end] : {std::pair{0, 1}, {2, 2}, {3, 8}, {9, 10}}) {
    Case c(19, 21, 20, random);
    StemConvF32Block block = c.Block();
    block.row_begin = begin;
    block.row_end = end;
    GetParam().fn(block);
    c.Check(begin, end);
    if (HasFatalFailure()) return;
  }
}

TEST_P(StemConvF32Test, SpecialValuesStayInTheirWindow) {
  TestRandom random;
  for (float special : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    for (int64_t at : {0, 20, 39}) {
      Case c(9, 40, 19, random);
      c.X(4, at, 1) = special;
      GetParam().fn(c.Block());
      for (int64_t row = 0; row < c.out_height(); ++row) {
        for (int64_t column = 0; column < c.out_width(); ++column) {
          // gelu(-inf) is NaN, as in torch, so no covered output is finite.
          const bool covered = std::abs(2 * row - 4) <= 1 && std::abs(2 * column - at) <= 1;
          for (int64_t o = 0; o < 19; ++o) {
            ASSERT_EQ(!std::isfinite(c.Y(row, column, o)), covered) << row << "," << column;
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, StemConvF32Test,
                         ::testing::ValuesIn(StemConvF32Variants().begin(),
                                             StemConvF32Variants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(StemConvF32Dispatch, ForcedIsaRuns) {
  TestRandom random;
  Case one(4, 4, 64, random);
  ExpectForcedIsaRuns(StemConvF32Variants(), BestStemConvF32,
                      [&](const StemConvF32Variant& variant) { variant.fn(one.Block()); });
}

}  // namespace
}  // namespace fastvlm
