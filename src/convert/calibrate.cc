#include "convert/calibrate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "fastvlm/image.h"
#include "measure/token_cosine.h"
#include "model/load.h"
#include "model/projector.h"
#include "model/vision_encoder.h"
#include "model/vision_layers.h"

namespace fastvlm {
namespace {

Status Cancelled() { return Error(StatusCode::kCancelled, "calibrating was cancelled"); }

// Progress over several passes of the encoder, some of which begin in its middle.
class PassCounter {
 public:
  PassCounter(const CalibrateProgressFn& progress, double total)
      : progress_(progress), total_(total) {}

  // The progress function for the next pass, which is this share of a whole one.
  EncodeProgressFn Next(double share) {
    const double begin = std::exchange(begin_, begin_ + share);
    return [this, begin, share](double fraction) {
      const double done = (begin + std::min(fraction, share)) / total_;
      return !progress_ || progress_(std::min(1.0, done));
    };
  }

 private:
  const CalibrateProgressFn& progress_;
  double total_;
  double begin_ = 0;
};

// The encoder and the projector.
class ImageHalf {
 public:
  ImageHalf(const Checkpoint& checkpoint, std::optional<LinearFormat> format, ThreadPool& pool)
      : pool_(pool),
        encoder_(checkpoint.config().vision, checkpoint.tensors().vision, format, pool),
        projector_(checkpoint.tensors().projector, format, pool) {}

  // Visual tokens; nothing if `progress` ended the pass.
  std::optional<std::vector<float>> Run(const PixelTensor& pixels, const EncodeProgressFn& progress,
                                        const TapFn& tap = {}) {
    std::vector<float> features = FeaturesFor(pixels);
    if (!encoder_.Forward(pixels.values.data(), pixels.height, pixels.width, features.data(),
                          workspace_, pool_, progress, tap)) {
      return std::nullopt;
    }
    return Project(features);
  }

  // The same, but from stage `stage` on, as VisionEncoder::ForwardFrom does it.
  std::optional<std::vector<float>> RunFrom(size_t stage, const std::vector<float>& map,
                                            const PixelTensor& pixels,
                                            const EncodeProgressFn& progress) {
    std::vector<float> features = FeaturesFor(pixels);
    if (!encoder_.ForwardFrom(stage, map.data(), pixels.height, pixels.width, features.data(),
                              workspace_, pool_, progress)) {
      return std::nullopt;
    }
    return Project(features);
  }

  std::vector<float> Project(const std::vector<float>& features) const {
    const auto tokens = static_cast<int64_t>(features.size()) / encoder_.feature_channels();
    std::vector<float> visual(static_cast<size_t>(tokens * hidden()));
    projector_.Forward(features.data(), tokens, visual.data(), pool_);
    return visual;
  }

  int64_t hidden() const { return projector_.hidden(); }
  size_t stages() const { return encoder_.stages(); }

  template <typename Visit>
  void VisitLayers(const Visit& visit) {
    encoder_.VisitLayers(visit);
    projector_.VisitLayers(stages() + 1, visit);
  }

 private:
  std::vector<float> FeaturesFor(const PixelTensor& pixels) const {
    const int64_t tokens = pixels.height / encoder_.stride() * (pixels.width / encoder_.stride());
    return std::vector<float>(static_cast<size_t>(tokens * encoder_.feature_channels()));
  }

  ThreadPool& pool_;
  VisionEncoder encoder_;
  Projector projector_;
  VisionWorkspace workspace_;
};

Result<TokenCosine> Measure(ImageHalf& half, const std::vector<CalibrationPicture>& pictures,
                            PassCounter& passes) {
  TokenCosine cosine;
  for (const CalibrationPicture& picture : pictures) {
    const auto tokens = half.Run(picture.pixels, passes.Next(1));
    if (!tokens) return Cancelled();
    cosine.Add(picture.reference, *tokens, half.hidden());
  }
  return cosine;
}

// How a matrix is multiplied: as f32 does it, with 8 bits, or as BF16.
enum class Form { kExact, kQuantized, kKept };

// One matrix in all three forms. The model holds one of them, this object the others.
class Layer {
 public:
  Layer(std::string name, size_t step, const LinearTensors& tensors, PackedLinear* used,
        ThreadPool& pool)
      : name_(std::move(name)), step_(step), used_(used), exact_is_bf16_(used->is_bf16()) {
    const auto load = IsFfnLayer(name_) ? LoadFfnLinear : LoadLinear;
    Spare(Form::kQuantized) = load(tensors, LinearFormat::kQ8, pool);
    // As the file will be read by kAsStored: what it is multiplied with is not rounded, on any CPU.
    if (!exact_is_bf16_) {
      Spare(Form::kKept) = load(tensors, LinearFormat::kBf16Weights, pool);
    }
  }

  void Use(Form form) {
    if (form == Form::kKept && exact_is_bf16_) form = Form::kExact;
    std::swap(*used_, Spare(form_));
    std::swap(*used_, Spare(form));
    form_ = form;
  }

  std::string tensor() const { return name_ + ".weight"; }
  size_t step() const { return step_; }
  double loss() const { return std::clamp(1 - cosine.mean(), 0.0, 2.0); }

  TokenCosine cosine;  // of a model where only this matrix is quantized

 private:
  PackedLinear& Spare(Form form) { return spare_[static_cast<size_t>(form)]; }

  std::string name_;
  size_t step_;
  PackedLinear* used_;
  bool exact_is_bf16_;
  Form form_ = Form::kExact;
  std::array<PackedLinear, 3> spare_;
};

// The share of a pass that is left at the beginning of each step. Each encoder block counts the
// same. The steps are the stem, the stages and the projector.
std::vector<double> SharesLeft(const VisionConfig& config) {
  std::vector<double> shares = {0.0};
  for (auto stage = config.stages.rbegin(); stage != config.stages.rend(); ++stage) {
    shares.push_back(shares.back() + static_cast<double>(stage->blocks));
  }
  shares.push_back(shares.back());  // the stem
  for (double& share : shares) share /= std::max(1.0, shares.back());
  std::reverse(shares.begin(), shares.end());
  return shares;
}

class Calibrator {
 public:
  Calibrator(const Checkpoint& checkpoint, std::vector<CalibrationPicture>& pictures,
             ThreadPool& pool, const CalibrateProgressFn& progress)
      : half_(checkpoint, LinearFormat::kExact, pool),
        shares_(SharesLeft(checkpoint.config().vision)),
        pictures_(pictures),
        layers_(Layers(checkpoint, half_, pool)),
        passes_(progress, TotalPasses()) {}

  Result<Calibration> Run(double target) {
    FASTVLM_RETURN_IF_ERROR(ReadReferences());
    UseAll(Form::kQuantized);
    FASTVLM_ASSIGN_OR_RETURN(TokenCosine best, Measure(half_, pictures_, passes_));
    Calibration result;
    result.target = target;
    result.pictures = static_cast<int64_t>(pictures_.size());
    result.cosine_quantized = best.mean();
    size_t kept = 0;
    if (best.mean() < target) {
      FASTVLM_RETURN_IF_ERROR(CheckReachable(target, &best));
      FASTVLM_RETURN_IF_ERROR(MeasureLosses());
      FASTVLM_ASSIGN_OR_RETURN(kept, FewestKept(target, &best));
    }
    result.cosine_mean = best.mean();
    result.cosine_worst = best.worst();
    for (size_t i = 0; i < kept; ++i) {
      result.kept.push_back({layers_[i].tensor(), layers_[i].loss()});
    }
    return result;
  }

 private:
  static std::vector<Layer> Layers(const Checkpoint& checkpoint, ImageHalf& half,
                                   ThreadPool& pool) {
    std::vector<const LinearTensors*> tensors;
    const auto collect = [&](const std::string&, size_t, const LinearTensors& linear) {
      tensors.push_back(&linear);
    };
    const ModelTensors& all = checkpoint.tensors();
    VisitEncoderLayers(all.vision.stem_pointwise, all.vision.stages, collect);
    VisitProjectorLayers(all.projector.first, all.projector.second, 0, collect);
    std::vector<Layer> layers;
    half.VisitLayers([&](const std::string& name, size_t step, PackedLinear& used) {
      layers.emplace_back(name, step, *tensors[layers.size()], &used, pool);
    });
    return layers;
  }

  // The most passes there can be: one for the references, one with all matrices quantized, one with
  // all kept, one to store the stages' inputs, a part of one for each matrix alone, and those of
  // FewestKept.
  double TotalPasses() const {
    double passes = 4 + std::ceil(std::log2(static_cast<double>(layers_.size())));
    for (const Layer& layer : layers_) passes += shares_[layer.step()];
    return passes * static_cast<double>(pictures_.size());
  }

  void UseAll(Form form) {
    for (Layer& layer : layers_) layer.Use(form);
  }

  Status ReadReferences() {
    for (CalibrationPicture& picture : pictures_) {
      auto tokens = half_.Run(picture.pixels, passes_.Next(1));
      if (!tokens) return Cancelled();
      if (!std::all_of(tokens->begin(), tokens->end(), [](float v) { return std::isfinite(v); })) {
        return Error(StatusCode::kDataError,
                     "the encoder produced values that are not finite in f32: are the model's "
                     "files damaged?");
      }
      picture.reference = *std::move(tokens);
    }
    return {};
  }

  Status CheckReachable(double target, TokenCosine* best) {
    UseAll(Form::kKept);
    FASTVLM_ASSIGN_OR_RETURN(*best, Measure(half_, pictures_, passes_));
    if (best->mean() >= target) return {};
    return Error(StatusCode::kUnsupported,
                 "the target {} cannot be reached: with every matrix of the image encoder in BF16 "
                 "the visual tokens have a mean cosine of {:.8f}; lower target, or write the "
                 "encoder in f32 without calibrating it; nothing was written",
                 target, best->mean());
  }

  // Quantizes one matrix at a time and runs only the part of the encoder that comes after it.
  Status MeasureLosses() {
    UseAll(Form::kExact);
    for (const CalibrationPicture& picture : pictures_) {
      std::vector<std::vector<float>> maps;  // before each stage, and the features
      const auto keep = [&maps](std::string_view, const float* values, auto shape) {
        int64_t size = 1;
        for (const int64_t side : shape) size *= side;
        maps.emplace_back(values, values + size);
      };
      if (!half_.Run(picture.pixels, passes_.Next(1), keep)) return Cancelled();
      // The output of the last stage is not needed: between it and the features is no layer to
      // measure.
      maps.erase(maps.end() - 2);
      for (Layer& layer : layers_) {
        layer.Use(Form::kQuantized);
        const auto tokens = RunStep(layer.step(), picture, maps);
        layer.Use(Form::kExact);
        if (!tokens) return Cancelled();
        layer.cosine.Add(picture.reference, *tokens, half_.hidden());
      }
    }
    std::stable_sort(layers_.begin(), layers_.end(),
                     [](const Layer& a, const Layer& b) { return a.loss() > b.loss(); });
    return {};
  }

  std::optional<std::vector<float>> RunStep(size_t step, const CalibrationPicture& picture,
                                            const std::vector<std::vector<float>>& maps) {
    const EncodeProgressFn progress = passes_.Next(shares_[step]);
    if (step == 0) return half_.Run(picture.pixels, progress);
    if (step > half_.stages()) return half_.Project(maps.back());
    return half_.RunFrom(step - 1, maps[step - 1], picture.pixels, progress);
  }

  // Finds the least number by halving: keeping none is too few, keeping all is enough. `best`
  // becomes the cosines that this number reaches.
  Result<size_t> FewestKept(double target, TokenCosine* best) {
    size_t too_few = 0, enough = layers_.size();
    while (enough - too_few > 1) {
      const size_t middle = too_few + (enough - too_few) / 2;
      for (size_t i = 0; i < layers_.size(); ++i) {
        layers_[i].Use(i < middle ? Form::kKept : Form::kQuantized);
      }
      FASTVLM_ASSIGN_OR_RETURN(const TokenCosine cosine, Measure(half_, pictures_, passes_));
      if (cosine.mean() >= target) {
        enough = middle;
        *best = cosine;
      } else {
        too_few = middle;
      }
    }
    return enough;
  }

  ImageHalf half_;
  std::vector<double> shares_;
  std::vector<CalibrationPicture>& pictures_;
  std::vector<Layer> layers_;
  PassCounter passes_;
};

}  // namespace

Result<std::vector<CalibrationPicture>> LoadCalibrationPictures(
    const std::vector<std::string>& paths, const VisionConfig& config, ThreadPool& pool) {
  const auto side = static_cast<int>(config.image_size);
  std::vector<CalibrationPicture> pictures;
  for (const std::string& path : paths) {
    FASTVLM_ASSIGN_OR_RETURN(const Image image, Image::FromFile(path));
    FASTVLM_ASSIGN_OR_RETURN(PixelTensor pixels, Preprocess(image, side, side, Fit::kPad, &pool));
    pictures.push_back({std::move(pixels), {}});
  }
  return pictures;
}

Result<Calibration> Calibrate(const Checkpoint& checkpoint, double target,
                              std::vector<CalibrationPicture>* pictures, ThreadPool& pool,
                              const CalibrateProgressFn& progress) {
  return Calibrator(checkpoint, *pictures, pool, progress).Run(target);
}

Status CheckCalibration(const Checkpoint& written, const Calibration& expected,
                        const std::vector<CalibrationPicture>& pictures, ThreadPool& pool,
                        const CalibrateProgressFn& progress) {
  ImageHalf half(written, std::nullopt, pool);
  PassCounter passes(progress, static_cast<double>(pictures.size()));
  FASTVLM_ASSIGN_OR_RETURN(const TokenCosine found, Measure(half, pictures, passes));
  if (found.mean() == expected.cosine_mean && found.worst() == expected.cosine_worst) return {};
  return Error(StatusCode::kDataError,
               "read back, the files give visual tokens with a mean cosine of {:.8f} instead of "
               "{:.8f}: something changes what is written to this disk; nothing was kept",
               found.mean(), expected.cosine_mean);
}

}  // namespace fastvlm
