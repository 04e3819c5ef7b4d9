#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>

#include "base/cpu_features.h"
#include "fastvlm/fastvlm.h"

namespace fastvlm {
namespace {

// Of one of nano's samples.
Matrix VisualTokens(Precision precision) {
  const std::string nano = FASTVLM_SOURCE_DIR "/models/nano";
  std::string sample;
  for (const auto& entry : std::filesystem::directory_iterator(nano + "/samples")) {
    if (entry.path().extension() != ".png") continue;
    if (sample.empty() || entry.path().string() < sample) sample = entry.path().string();
  }
  ModelOptions options;
  options.precision = precision;
  options.threads = 2;
  const auto model = Model::Load(nano, options);
  EXPECT_TRUE(model.ok()) << model.status().message();
  const auto image = Image::FromFile(sample);
  EXPECT_TRUE(image.ok()) << image.status().message();
  auto tokens = (*model)->EncodeVisualTokens(*image);
  EXPECT_TRUE(tokens.ok()) << tokens.status().message();
  return std::move(*tokens);
}

struct Cosines {
  double mean = 0;
  double worst = 1;
};

Cosines Compare(const Matrix& a, const Matrix& b) {
  Cosines cosines;
  for (int64_t t = 0; t < a.rows; ++t) {
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = t * a.columns; i < (t + 1) * a.columns; ++i) {
      const double x = a.values[static_cast<size_t>(i)], y = b.values[static_cast<size_t>(i)];
      ab += x * y;
      aa += x * x;
      bb += y * y;
    }
    const double cosine = ab / std::sqrt(aa * bb);
    cosines.mean += cosine / static_cast<double>(a.rows);
    cosines.worst = std::min(cosines.worst, cosine);
  }
  return cosines;
}

// What --precision bf16 loses on a CPU that multiplies bf16, by the kernel's scalar definition.
TEST(Precision, Bf16ProductsKeepVisualTokens) {
  const Matrix exact = VisualTokens(Precision::kF32);
  const bool before = SetEmulateBf16ProductsForTesting(true);
  const Matrix bf16 = VisualTokens(Precision::kBf16);
  SetEmulateBf16ProductsForTesting(before);
  ASSERT_EQ(bf16.rows, exact.rows);
  ASSERT_EQ(bf16.columns, exact.columns);
  const Cosines cosines = Compare(exact, bf16);
  RecordProperty("mean", std::to_string(cosines.mean));
  RecordProperty("worst", std::to_string(cosines.worst));
  EXPECT_GE(cosines.mean, 0.9999);
  EXPECT_GE(cosines.worst, 0.9995);
  // The bits of a CPU that only rounds the weights, or multiplies f16, are others.
  if (!HasFastBf16Products()) {
    EXPECT_NE(bf16.values, VisualTokens(Precision::kBf16).values);
  }
}

// What it loses on a CPU that multiplies f16.
TEST(Precision, F16ProductsKeepVisualTokens) {
#ifndef FASTVLM_HAVE_AVX512_FP16
  GTEST_SKIP() << "built by a compiler that does not know AVX512_FP16";
#endif
  if (!CpuSupports(Isa::kAvx512Fp16) || HasFastBf16Products() || EmulateBf16Products()) {
    GTEST_SKIP() << "this CPU or the environment prefers other products";
  }
  const Isa before = SetMaxIsaForTesting(Isa::kAvx512Fp16);
  const Matrix exact = VisualTokens(Precision::kF32);
  const Matrix f16 = VisualTokens(Precision::kBf16);
  SetMaxIsaForTesting(Isa::kAvx512Bf16);
  const Matrix weights_only = VisualTokens(Precision::kBf16);
  SetMaxIsaForTesting(before);
  const Cosines cosines = Compare(exact, f16);
  EXPECT_GE(cosines.mean, 0.99999);
  EXPECT_GE(cosines.worst, 0.9999);
  // Beside what rounding the weights loses.
  EXPECT_GE(Compare(weights_only, f16).worst, 0.99999);
  EXPECT_NE(weights_only.values, f16.values);
}

}  // namespace
}  // namespace fastvlm
