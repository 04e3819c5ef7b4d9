#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/depthwise_f32/depthwise_f32.h"
#include "support/executed_isa.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Config {
  int kernel = 3, stride = 1, multiplier = 1;
  bool gelu = false;
  int64_t height = 1, width = 1, in_channels = 1;
  int64_t x_padding = 0, y_padding = 0;  // elements between pixels that are not the block's
};

// A convolution whose operands end at unreadable pages.
class Case {
 public:
  explicit Case(const Config& config)
      : config_(config),
        channels_(config.in_channels * config.multiplier),
        out_height_((config.height + config.stride - 1) / config.stride),
        out_width_((config.width + config.stride - 1) / config.stride),
        x_pixel_(config.in_channels + config.x_padding),
        y_pixel_(channels_ + config.y_padding),
        x_(Size(config.height, config.width, x_pixel_, config.x_padding)),
        weight_(static_cast<size_t>(config.kernel * config.kernel * channels_)),
        bias_(static_cast<size_t>(channels_)),
        y_(Size(out_height_, out_width_, y_pixel_, config.y_padding)) {}

  void Fill(TestRandom& random) {
    random.Fill(x_.data(), x_.size(), -2, 2);
    random.Fill(weight_.data(), weight_.size(), -1, 1);
    random.Fill(bias_.data(), bias_.size(), -1, 1);
  }

  DepthwiseF32Block Block() {
    DepthwiseF32Block b;
    b.kernel = config_.kernel;
    b.stride = config_.stride;
    b.multiplier = config_.multiplier;
    b.gelu = config_.gelu;
    b.x = x_.data();
    b.height = config_.height;
    b.width = config_.width;
    b.x_row_stride = config_.width * x_pixel_;
    b.x_pixel_stride = x_pixel_;
    b.weight = weight_.data();
    b.weight_tap_stride = channels_;
    b.bias = bias_.data();
    b.y = y_.data();
    b.y_row_stride = out_width_ * y_pixel_;
    b.y_pixel_stride = y_pixel_;
    b.channels = channels_;
    b.row_end = out_height_;
    return b;
  }

  float& X(int64_t row, int64_t column, int64_t channel) {
    return x_[static_cast<size_t>((row * config_.width + column) * x_pixel_ + channel)];
  }
  float& Weight(int64_t ky, int64_t kx, int64_t channel) {
    return weight_[static_cast<size_t>((ky * config_.kernel + kx) * channels_ + channel)];
  }
  float& Bias(int64_t channel) { return bias_[static_cast<size_t>(channel)]; }
  float& Y(int64_t row, int64_t column, int64_t channel) {
    return y_[static_cast<size_t>((row * out_width_ + column) * y_pixel_ + channel)];
  }
  int64_t channels() const { return channels_; }
  int64_t out_height() const { return out_height_; }
  int64_t out_width() const { return out_width_; }
  void PoisonOutput() { y_.Poison(); }

  // Compares output rows [begin, end) with a double reference, and all other elements with poison.
  void Check(int64_t begin, int64_t end) {
    for (int64_t row = 0; row < out_height_; ++row) {
      for (int64_t column = 0; column < out_width_; ++column) {
        for (int64_t channel = 0; channel < channels_; ++channel) {
          if (row >= begin && row < end) {
            CheckElement(row, column, channel);
          } else {
            ASSERT_TRUE(y_.IsPoison(Y(row, column, channel)));
          }
        }
        const bool last = row + 1 == out_height_ && column + 1 == out_width_;
        for (int64_t i = channels_; i < y_pixel_ && !last; ++i) {
          ASSERT_TRUE(y_.IsPoison(Y(row, column, i))) << "margin";
        }
      }
    }
  }

 private:
  static size_t Size(int64_t height, int64_t width, int64_t pixel, int64_t padding) {
    return static_cast<size_t>(height * width * pixel - padding);
  }

  void CheckElement(int64_t row, int64_t column, int64_t channel) {
    double sum = Bias(channel);
    double magnitude = std::abs(sum);
    const int half = config_.kernel / 2;
    for (int64_t r = 0; r < config_.height; ++r) {
      for (int64_t c = 0; c < config_.width; ++c) {
        const int64_t ky = r - row * config_.stride + half;
        const int64_t kx = c - column * config_.stride + half;
        if (ky < 0 || ky >= config_.kernel || kx < 0 || kx >= config_.kernel) continue;
        const double product =
            double{X(r, c, channel / config_.multiplier)} * Weight(ky, kx, channel);
        sum += product;
        magnitude += std::abs(product);
      }
    }
    double tolerance = std::ldexp(1.0, -24) * (config_.kernel * config_.kernel + 1) * magnitude;
    double expected = sum;
    if (config_.gelu) {
      expected = 0.5 * sum * (1 + std::erf(sum / std::sqrt(2.0)));
      tolerance = 1.13 * tolerance + 1e-6 * (1 + std::abs(sum));
    }
    ASSERT_NEAR(Y(row, column, channel), expected, tolerance)
        << "kernel " << config_.kernel << " stride " << config_.stride << " multiplier "
        << config_.multiplier << ", " << config_.height << "x" << config_.width << "x"
        << config_.in_channels << ", at " << row << "," << column << "," << channel;
  }

  Config config_;
  int64_t channels_, out_height_, out_width_, x_pixel_, y_pixel_;
  GuardedBuffer<float> x_, weight_, bias_, y_;
};

class DepthwiseF32Test : public ::testing::TestWithParam<DepthwiseF32Variant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }

  // Calls run(config) for every kernel size, stride and multiplier.
  template <typename Run>
  static void ForEachKind(const Run& run) {
    for (int kernel : {3, 7}) {
      for (int stride : {1, 2}) {
        for (int multiplier : {1, 2}) {
          Config config;
          config.kernel = kernel;
          config.stride = stride;
          config.multiplier = multiplier;
          run(config);
        }
      }
    }
  }
};

TEST_P(DepthwiseF32Test, EveryImageSize) {
  TestRandom random;
  ForEachKind([&](Config config) {
    for (int64_t height : {1, 2, 3, 4, 5, 7, 8, 13}) {
      for (int64_t width :
           {1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 23, 31, 32, 33, 53, 63, 64, 65, 101}) {
        config.height = height;
        config.width = width;
        config.in_channels = 1 + (height + width) % 19;
        config.gelu = width % 2 == 1;
        Case c(config);
        c.Fill(random);
        GetParam().fn(c.Block());
        c.Check(0, c.out_height());
        if (HasFatalFailure()) return;
      }
    }
  });
}

TEST_P(DepthwiseF32Test, EveryChannelCountWithMargins) {
  TestRandom random;
  ForEachKind([&](Config config) {
    for (int64_t channels :
         {1, 2, 3, 4, 5, 7, 8, 9, 11, 13, 15, 16, 17, 23, 24, 31, 32, 33, 47, 96}) {
      config.height = 6;
      config.width = 37;
      config.in_channels = channels;
      config.x_padding = channels % 3;
      config.y_padding = 2 - channels % 3;
      config.gelu = channels % 2 == 0;
      Case c(config);
      c.Fill(random);
      GetParam().fn(c.Block());
      c.Check(0, c.out_height());
      if (HasFatalFailure()) return;
    }
  });
}

// Whole groups of pixels and vectors, as in the published models, take a way of their own.
TEST_P(DepthwiseF32Test, WholeGroupsWithMargins) {
  TestRandom random;
  ForEachKind([&](Config config) {
    for (int64_t height : {1, 2, 3, 4, 9}) {
      for (int64_t width : {8, 16, 24, 32, 64, 96}) {
        for (int64_t channels : {8, 16, 48, 96, 112}) {
          config.height = height;
          config.width = width;
          config.in_channels = channels;
          config.x_padding = width % 3;
          config.y_padding = height % 3;
          config.gelu = height % 2 == 0;
          Case c(config);
          c.Fill(random);
          c.PoisonOutput();
          DepthwiseF32Block block = c.Block();
          block.row_begin = c.out_height() / 3;
          GetParam().fn(block);
          c.Check(block.row_begin, c.out_height());
          if (HasFatalFailure()) return;
        }
      }
    }
  });
}

TEST_P(DepthwiseF32Test, OnlyTheRowsAsked) {
  TestRandom random;
  ForEachKind([&](Config config) {
    config.height = 19;
    config.width = 21;
    config.in_channels = 20;
    Case c(config);
    c.Fill(random);
    for (const auto& [begin, end] : {std::pair{0, 1}, {2, 2}, {3, 8}, {9, 10}}) {
      c.PoisonOutput();
      DepthwiseF32Block block = c.Block();
      block.row_begin = begin;
      block.row_end = end;
      GetParam().fn(block);
      c.Check(begin, end);
      if (HasFatalFailure()) return;
    }
  });
}

// Each special input reaches the outputs whose window covers it and no other.
TEST_P(DepthwiseF32Test, SpecialValuesStayInTheirWindow) {
  TestRandom random;
  for (float special : {kInf, -kInf, std::nanf("")}) {
    for (bool whole : {true, false}) {  // groups of pixels and vectors, or ragged ones
      ForEachKind([&](Config config) {
        config.height = 9;
        config.width = whole ? 64 : 40;
        config.in_channels = whole ? 16 : 19;
        for (int64_t at : {int64_t{0}, int64_t{20}, config.width - 1}) {
          Case c(config);
          c.Fill(random);
          const int64_t channel = at % config.in_channels;
          c.X(4, at, channel) = special;
          GetParam().fn(c.Block());
          const int64_t reach = config.kernel / 2;
          for (int64_t row = 0; row < c.out_height(); ++row) {
            for (int64_t column = 0; column < c.out_width(); ++column) {
              for (int64_t o = 0; o < c.channels(); ++o) {
                const bool covered = std::abs(row * config.stride - 4) <= reach &&
                                     std::abs(column * config.stride - at) <= reach &&
                                     o / config.multiplier == channel;
                ASSERT_EQ(!std::isfinite(c.Y(row, column, o)), covered)
                    << row << "," << column << "," << o;
              }
            }
          }
        }
      });
    }
  }
}

TEST_P(DepthwiseF32Test, DenormalsAndPadding) {
  Config config;
  config.height = config.width = 1;
  config.in_channels = 21;
  Case c(config);
  const float tiny = std::numeric_limits<float>::denorm_min();
  for (int64_t o = 0; o < c.channels(); ++o) {
    // Only the centre of the window is in the image: weights elsewhere have no effect.
    const float max = std::numeric_limits<float>::max();
    for (int64_t tap = 0; tap < 9; ++tap) c.Weight(tap / 3, tap % 3, o) = max;
    c.Weight(1, 1, o) = 3.0f;
    c.Bias(o) = 0.0f;
    c.X(0, 0, o) = tiny;
  }
  GetParam().fn(c.Block());
  for (int64_t o = 0; o < c.channels(); ++o) EXPECT_EQ(c.Y(0, 0, o), 3.0f * tiny);
}

INSTANTIATE_TEST_SUITE_P(Variants, DepthwiseF32Test,
                         ::testing::ValuesIn(DepthwiseF32Variants().begin(),
                                             DepthwiseF32Variants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(DepthwiseF32Dispatch, ForcedIsaRuns) {
  Case one({.height = 3, .width = 3, .in_channels = 64});
  ExpectForcedIsaRuns(DepthwiseF32Variants(), BestDepthwiseF32,
                      [&](const DepthwiseF32Variant& variant) { variant.fn(one.Block()); });
}

}  // namespace
}  // namespace fastvlm
