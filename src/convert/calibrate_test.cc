// Calibrated encoders: what is kept, that it is enough and no more, and that the file is what was
// measured.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "convert/calibrate.h"
#include "fastvlm/fastvlm.h"
#include "measure/token_cosine.h"
#include "model/load.h"
#include "model/projector.h"
#include "model/vision_encoder.h"
#include "model/vision_layers.h"
#include "support/paths.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"

namespace fastvlm {
namespace {

using testing::HasSubstr;

std::vector<std::string> Pictures() {
  std::vector<std::string> paths;
  for (const char* name : {"count.png", "fox.png", "text.png"}) {
    paths.push_back(kNano + "/samples/" + name);
  }
  return paths;
}

QuantizeOptions CalibrateOptions(double target) {
  QuantizeOptions options;
  options.calibrate = Pictures();
  options.target = target;
  return options;
}

std::shared_ptr<const Model> Load(const std::string& directory, Precision precision) {
  ModelOptions options;
  options.precision = precision;
  options.threads = 1;
  auto model = Model::Load(directory, options);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? *model : nullptr;
}

// Through the public way: two loaded models and their visual tokens.
TokenCosine CosineOf(const std::string& candidate, Precision precision) {
  const auto reference = Load(kNano, Precision::kF32), other = Load(candidate, precision);
  TokenCosine cosine;
  for (const std::string& path : Pictures()) {
    const Image image = *Image::FromFile(path);
    cosine.Add(reference->EncodeVisualTokens(image)->values,
               other->EncodeVisualTokens(image)->values, reference->info().hidden);
  }
  return cosine;
}

TEST(Calibrate, KeepsNothingWhereEightBitsAreEnough) {
  const TemporaryDirectory directory;
  const auto report = QuantizeModel(kNano, directory.Path("out"), CalibrateOptions(0.9));
  ASSERT_TRUE(report.ok()) << report.status().message();
  ASSERT_TRUE(report->calibration.has_value());
  const Calibration& calibration = *report->calibration;
  EXPECT_TRUE(calibration.kept.empty());
  EXPECT_EQ(calibration.pictures, 3);
  EXPECT_EQ(calibration.cosine_mean, calibration.cosine_quantized);
  const TokenCosine q8 = CosineOf(kNano, Precision::kQ8);
  EXPECT_EQ(calibration.cosine_mean, q8.mean());
  EXPECT_EQ(calibration.cosine_worst, q8.worst());
  EXPECT_LT(q8.mean(), 1);
  const auto info = InspectModel(directory.Path("out"));
  ASSERT_TRUE(info.ok()) << info.status().message();
  ASSERT_TRUE(info->calibration.has_value());
  EXPECT_TRUE(info->calibration->kept.empty());
}

TEST(Calibrate, ARecordOfANewerVersionIsNamedAsSuch) {
  const TemporaryDirectory directory;
  const std::string out = directory.Path("out");
  ASSERT_TRUE(QuantizeModel(kNano, out, CalibrateOptions(0.9)).ok());
  std::string file = ReadTextFile(out + "/mmproj.gguf", size_t{1} << 30).value();
  // The key, the number of its type, its value.
  const std::string key = "fastvlm.calibration.version";
  const size_t at = file.find(key);
  ASSERT_NE(at, std::string::npos);
  ASSERT_EQ(file[at + key.size() + 4], 1);
  file[at + key.size() + 4] = 2;
  directory.Write("out/mmproj.gguf", file);
  const Status status = InspectModel(out).status();
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_THAT(status.message(),
              HasSubstr("a newer fastvlm wrote this file: "
                        "fastvlm.calibration.version is 2, this program reads 1"));
}

class CalibratedNano : public testing::TestWithParam<double> {};

TEST_P(CalibratedNano, TheFileIsWhatWasMeasured) {
  const TemporaryDirectory directory;
  const std::string out = directory.Path("out");
  const auto report = QuantizeModel(kNano, out, CalibrateOptions(GetParam()));
  ASSERT_TRUE(report.ok()) << report.status().message();
  const Calibration& calibration = *report->calibration;
  EXPECT_FALSE(calibration.kept.empty());
  EXPECT_LT(calibration.cosine_quantized, GetParam());
  EXPECT_GE(calibration.cosine_mean, GetParam());

  const TokenCosine loaded = CosineOf(out, Precision::kAsStored);
  EXPECT_EQ(loaded.mean(), calibration.cosine_mean);
  EXPECT_EQ(loaded.worst(), calibration.cosine_worst);
  EXPECT_EQ(CosineOf(out, Precision::kFastest).mean(), calibration.cosine_mean);

  const auto written = Checkpoint::Open(out);
  ASSERT_TRUE(written.ok()) << written.status().message();
  std::set<std::string> bf16, q8;
  const auto sort = [&](const std::string& name, size_t, const LinearTensors& linear) {
    (linear.weight.dtype == Dtype::kBf16 ? bf16 : q8).insert(name + ".weight");
    EXPECT_TRUE(linear.weight.dtype == Dtype::kBf16 || linear.weight.dtype == Dtype::kQ80) << name;
  };
  const ModelTensors& tensors = written->tensors();
  VisitEncoderLayers(tensors.vision.stem_pointwise, tensors.vision.stages, sort);
  VisitProjectorLayers(tensors.projector.first, tensors.projector.second, 0, sort);
  std::set<std::string> kept;
  for (const Calibration::Kept& one : calibration.kept) kept.insert(one.tensor);
  EXPECT_EQ(bf16, kept);
  EXPECT_FALSE(q8.empty());

  const auto& stored = written->config().calibration;
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(stored->target, GetParam());
  EXPECT_EQ(stored->cosine_quantized, calibration.cosine_quantized);
  EXPECT_EQ(stored->cosine_mean, calibration.cosine_mean);
  EXPECT_EQ(stored->cosine_worst, calibration.cosine_worst);
  EXPECT_EQ(stored->pictures, 3);
  ASSERT_EQ(stored->kept.size(), calibration.kept.size());
  for (size_t i = 0; i < stored->kept.size(); ++i) {
    EXPECT_EQ(stored->kept[i].tensor, calibration.kept[i].tensor);
    EXPECT_EQ(stored->kept[i].loss, calibration.kept[i].loss);
    EXPECT_LE(stored->kept[i].loss, stored->kept[i == 0 ? 0 : i - 1].loss);
  }
}

// Q8_0 everywhere misses these, BF16 everywhere reaches them, and loses something too: nano's
// weights are F16.
INSTANTIATE_TEST_SUITE_P(Targets, CalibratedNano, testing::Values(0.99995, 0.99999));

// The image half of the bundled model, with any of its matrices exchanged.
class NanoImageHalf : public testing::Test {
 protected:
  NanoImageHalf()
      : checkpoint_(Checkpoint::Open(kNano).value()),
        encoder_(checkpoint_.config().vision, checkpoint_.tensors().vision, LinearFormat::kExact,
                 pool_),
        projector_(checkpoint_.tensors().projector, LinearFormat::kExact, pool_),
        pictures_(LoadCalibrationPictures(Pictures(), checkpoint_.config().vision, pool_).value()) {
  }

  std::vector<float> Features(const PixelTensor& pixels, const TapFn& tap = {}) {
    const int64_t tokens = pixels.height / encoder_.stride() * (pixels.width / encoder_.stride());
    std::vector<float> features(static_cast<size_t>(tokens * encoder_.feature_channels()));
    EXPECT_TRUE(encoder_.Forward(pixels.values.data(), pixels.height, pixels.width, features.data(),
                                 workspace_, pool_, {}, tap));
    return features;
  }
  std::vector<float> Tokens(const PixelTensor& pixels) {
    const std::vector<float> features = Features(pixels);
    const auto tokens = static_cast<int64_t>(features.size()) / encoder_.feature_channels();
    std::vector<float> visual(static_cast<size_t>(tokens * projector_.hidden()));
    projector_.Forward(features.data(), tokens, visual.data(), pool_);
    return visual;
  }
  // Quantizes the chosen matrices and brings the others into another form.
  void Quantize(const std::function<bool(const std::string&)>& chosen, LinearFormat others) {
    std::vector<const LinearTensors*> tensors;
    const auto collect = [&](const std::string&, size_t, const LinearTensors& linear) {
      tensors.push_back(&linear);
    };
    VisitEncoderLayers(checkpoint_.tensors().vision.stem_pointwise,
                       checkpoint_.tensors().vision.stages, collect);
    VisitProjectorLayers(checkpoint_.tensors().projector.first,
                         checkpoint_.tensors().projector.second, 0, collect);
    size_t next = 0;
    const auto exchange = [&](const std::string& name, size_t, PackedLinear& used) {
      const LinearTensors& linear = *tensors[next++];
      const bool q8 = chosen(name + ".weight");
      const auto load = IsFfnLayer(name) ? LoadFfnLinear : LoadLinear;
      used = load(linear, q8 ? LinearFormat::kQ8 : others, pool_);
    };
    encoder_.VisitLayers(exchange);
    projector_.VisitLayers(encoder_.stages() + 1, exchange);
    EXPECT_EQ(next, tensors.size());
  }
  double MeanCosine(const std::vector<std::vector<float>>& reference) {
    TokenCosine cosine;
    for (size_t i = 0; i < pictures_.size(); ++i) {
      cosine.Add(reference[i], Tokens(pictures_[i].pixels), projector_.hidden());
    }
    return cosine.mean();
  }

  ThreadPool pool_{1};
  Checkpoint checkpoint_;
  VisionEncoder encoder_;
  Projector projector_;
  VisionWorkspace workspace_;
  std::vector<CalibrationPicture> pictures_;
};

TEST_F(NanoImageHalf, ThePassCanBeTakenUpAtEachStage) {
  const PixelTensor& pixels = pictures_.front().pixels;
  std::vector<std::vector<float>> maps;
  const std::vector<float> expected =
      Features(pixels, [&](std::string_view, const float* values, auto shape) {
        int64_t size = 1;
        for (const int64_t side : shape) size *= side;
        maps.emplace_back(values, values + size);
      });
  ASSERT_EQ(maps.size(), encoder_.stages() + 2);
  for (size_t stage = 0; stage < encoder_.stages(); ++stage) {
    std::vector<float> features(expected.size());
    ASSERT_TRUE(encoder_.ForwardFrom(stage, maps[stage].data(), pixels.height, pixels.width,
                                     features.data(), workspace_, pool_));
    EXPECT_EQ(features, expected) << stage;
  }
}

// The same numbers by whole passes, without anything that the calibration computes with; and with
// one matrix less the target is missed.
TEST_F(NanoImageHalf, LossesAreTrueAndNoMatrixIsKeptInVain) {
  constexpr double kTarget = 0.99999;
  const auto calibration = Calibrate(checkpoint_, kTarget, &pictures_, pool_, {});
  ASSERT_TRUE(calibration.ok()) << calibration.status().message();
  ASSERT_FALSE(calibration->kept.empty());
  std::vector<std::vector<float>> reference;
  for (const CalibrationPicture& picture : pictures_) {
    reference.push_back(Tokens(picture.pixels));
    EXPECT_EQ(reference.back(), picture.reference);
  }
  std::set<std::string> kept;
  for (const Calibration::Kept& one : calibration->kept) {
    Quantize([&](const std::string& name) { return name == one.tensor; }, LinearFormat::kExact);
    EXPECT_EQ(one.loss, 1 - MeanCosine(reference)) << one.tensor;
    kept.insert(one.tensor);
  }
  Quantize([&](const std::string& name) { return !kept.contains(name); },
           LinearFormat::kBf16Weights);
  EXPECT_EQ(MeanCosine(reference), calibration->cosine_mean);
  // What was left out loses less than the least that was kept.
  const double least = calibration->kept.back().loss;
  std::vector<std::string> left_out;
  encoder_.VisitLayers([&](const std::string& name, size_t, PackedLinear&) {
    if (!kept.contains(name + ".weight")) left_out.push_back(name + ".weight");
  });
  ASSERT_FALSE(left_out.empty());
  Quantize([&](const std::string& name) { return name == left_out.front(); }, LinearFormat::kExact);
  EXPECT_LE(1 - MeanCosine(reference), least);
  kept.erase(calibration->kept.back().tensor);
  Quantize([&](const std::string& name) { return !kept.contains(name); },
           LinearFormat::kBf16Weights);
  EXPECT_LT(MeanCosine(reference), kTarget);
}

TEST_F(NanoImageHalf, ThreadsMakeNoDifference) {
  ThreadPool three(3);
  const auto one = Calibrate(checkpoint_, 0.99999, &pictures_, pool_, {});
  const auto other = Calibrate(checkpoint_, 0.99999, &pictures_, three, {});
  ASSERT_TRUE(one.ok() && other.ok());
  EXPECT_EQ(one->cosine_mean, other->cosine_mean);
  ASSERT_EQ(one->kept.size(), other->kept.size());
  for (size_t i = 0; i < one->kept.size(); ++i) {
    EXPECT_EQ(one->kept[i].tensor, other->kept[i].tensor);
    EXPECT_EQ(one->kept[i].loss, other->kept[i].loss);
  }
}

TEST_F(NanoImageHalf, ProgressGrowsAndCanEndIt) {
  double last = 0;
  const auto calibration = Calibrate(checkpoint_, 0.99999, &pictures_, pool_, [&](double done) {
    EXPECT_GE(done, last);
    last = done;
    return true;
  });
  ASSERT_TRUE(calibration.ok());
  EXPECT_GT(last, 0.8);
  EXPECT_LE(last, 1);
  for (const double end : {0.0, 0.05, 0.2, 0.6}) {
    const auto ended =
        Calibrate(checkpoint_, 0.99999, &pictures_, pool_, [&](double done) { return done < end; });
    EXPECT_EQ(ended.status().code(), StatusCode::kCancelled) << end;
  }
}

// A tiny model in F32 whose values BF16 has not.
void WriteTiny(const TemporaryDirectory& directory) {
  TinyModel tiny;
  tiny.dtype = "F32";
  TestTensors tensors = AppleTensors(tiny);
  for (auto& [name, tensor] : tensors) {
    if (tensor.dtype != "F32") continue;
    for (float& value : tensor.values) value *= 1.001f;
  }
  directory.Write("config.json", AppleConfig(tiny));
  directory.Write("model.safetensors", EncodeSafetensors(tensors));
  directory.Write("vocab.json", "{}");
  directory.Write("merges.txt", "");
}

TEST(Calibrate, ATargetThatCannotBeReachedIsAnErrorAndLeavesNothing) {
  const TemporaryDirectory source, directory;
  WriteTiny(source);
  auto report = QuantizeModel(source.path(), directory.Path("out"), CalibrateOptions(1));
  EXPECT_EQ(report.status().code(), StatusCode::kUnsupported);
  EXPECT_THAT(report.status().message(), HasSubstr("the target 1 cannot be reached"));
  EXPECT_FALSE(DirectoryExists(directory.Path("out")));

  // Less can be.
  report = QuantizeModel(source.path(), directory.Path("out"), CalibrateOptions(0.9999));
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_GE(report->calibration->cosine_mean, 0.9999);
  const auto written = Checkpoint::Open(directory.Path("out"));
  ASSERT_TRUE(written.ok()) << written.status().message();
  EXPECT_EQ(written->config().calibration->cosine_mean, report->calibration->cosine_mean);
}

// Where the CPU multiplies bf16, --precision bf16 rounds what layers are given as well; a file
// whose types are kept does not, and the promise is about that one.
TEST(Calibrate, WhatIsPromisedIsWhatTheFileGivesWhereProductsAreOfBf16) {
  const bool before = SetEmulateBf16ProductsForTesting(true);
  const TemporaryDirectory directory;
  const std::string out = directory.Path("out");
  const auto report = QuantizeModel(kNano, out, CalibrateOptions(0.99995));
  EXPECT_TRUE(report.ok()) << report.status().message();
  if (report.ok()) {
    EXPECT_FALSE(report->calibration->kept.empty());
    EXPECT_EQ(CosineOf(out, Precision::kFastest).mean(), report->calibration->cosine_mean);
  }
  SetEmulateBf16ProductsForTesting(before);
}

TEST(Calibrate, Mistakes) {
  const TemporaryDirectory directory;
  const std::string out = directory.Path("out");
  for (const double target : {0.0, -1.0, 1.01, std::numeric_limits<double>::quiet_NaN()}) {
    const auto report = QuantizeModel(kNano, out, CalibrateOptions(target));
    EXPECT_EQ(report.status().code(), StatusCode::kInvalidArgument) << target;
    EXPECT_THAT(report.status().message(), HasSubstr("target"));
  }
  QuantizeOptions options = CalibrateOptions(0.999);
  options.encoder = WeightFormat::kBf16;
  const auto encoder = QuantizeModel(kNano, out, options);
  EXPECT_EQ(encoder.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(encoder.status().message(), HasSubstr("set encoder to q8"));
  options = CalibrateOptions(0.999);
  options.calibrate.push_back("/no/such/picture.png");
  const auto picture = QuantizeModel(kNano, out, options);
  EXPECT_EQ(picture.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(picture.status().message(), HasSubstr("/no/such/picture.png"));
  EXPECT_FALSE(DirectoryExists(out));
}

// Ended at any step, nothing is there.
TEST(Calibrate, CancelledItLeavesNothing) {
  const TemporaryDirectory directory;
  const std::string out = directory.Path("out");
  for (const QuantizeStep end :
       {QuantizeStep::kCalibrating, QuantizeStep::kWriting, QuantizeStep::kChecking}) {
    const auto report = QuantizeModel(kNano, out, CalibrateOptions(0.99999),
                                      [end](QuantizeStep step, double) { return step != end; });
    EXPECT_EQ(report.status().code(), StatusCode::kCancelled);
    EXPECT_FALSE(DirectoryExists(out));
  }
}

TEST(Calibrate, DamagedRecordsAreErrors) {
  const TemporaryDirectory directory;
  const std::string out = directory.Path("out");
  ASSERT_TRUE(QuantizeModel(kNano, out, CalibrateOptions(0.99999)).ok());
  const std::string intact = ReadTextFile(out + "/mmproj.gguf", size_t{1} << 30).value();
  // `offset` counts from the end of the key; its type comes first.
  const auto damage = [&](const std::string& key, size_t offset, const std::string& bytes) {
    std::string damaged = intact;
    const size_t at = damaged.find("fastvlm.calibration." + key);
    EXPECT_NE(at, std::string::npos) << key;
    damaged.replace(at + key.size() + std::strlen("fastvlm.calibration.") + offset, bytes.size(),
                    bytes);
    directory.Write("out/mmproj.gguf", damaged);
    return InspectModel(out).status();
  };
  const std::string nan("\0\0\0\0\0\0\xf8\x7f", 8);
  EXPECT_TRUE(damage("target", 0, "").ok());
  EXPECT_EQ(damage("target", 4, nan).code(), StatusCode::kDataError);
  EXPECT_EQ(damage("cosine_mean", 4, nan).code(), StatusCode::kDataError);
  EXPECT_EQ(damage("pictures", 4, std::string(4, '\0')).code(), StatusCode::kDataError);
  // Type, type of the elements, count; then the length and the text of the first.
  const Status name = damage("kept", 4 + 4 + 8 + 8, "nowhere");
  EXPECT_EQ(name.code(), StatusCode::kDataError);
  EXPECT_THAT(name.message(), HasSubstr("fastvlm.calibration.kept"));
  EXPECT_EQ(damage("kept_loss", 4 + 4 + 8, nan).code(), StatusCode::kDataError);
  EXPECT_EQ(damage("kept", 0, std::string("\5\0\0\0", 4)).code(), StatusCode::kDataError);
}

}  // namespace
}  // namespace fastvlm
