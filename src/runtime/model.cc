#include "fastvlm/model.h"
#include "fastvlm/engine.h"
#include "fastvlm/system.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <utility>

#include "base/cpu_features.h"
#include "base/status.h"
#include "base/stopwatch.h"
#include "image/preprocess.h"
#include "runtime/load_vocabulary.h"
#include "runtime/model_impl.h"

namespace fastvlm {
namespace {

constexpr int kMaxThreads = 256;
// 16 times the area that the published models were trained for. The work of the encoder's attention
// grows with the square of the area.
constexpr int64_t kMaxEncoderPixels = int64_t{4096} * 4096;

struct Opened {
  Checkpoint checkpoint;
  Tokenizer tokenizer;
};

Result<Opened> Open(const std::string& directory, const std::string& vision_directory) {
  FASTVLM_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(directory, vision_directory));
  FASTVLM_ASSIGN_OR_RETURN(const Vocabulary vocabulary, LoadVocabulary(checkpoint, directory));
  FASTVLM_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Create(vocabulary, directory));
  const int64_t rows = checkpoint.config().decoder.vocab_rows;
  if (tokenizer.size() > rows) {
    return Error(StatusCode::kDataError,
                 "{}: the tokenizer has {} tokens, but the embedding only {} rows; do the files "
                 "belong together?",
                 directory, tokenizer.size(), rows);
  }
  return Opened{std::move(checkpoint), std::move(tokenizer)};
}

// No kernel multiplies weights of these types as they are: unless the precision is f32, they are
// rounded once more to a type that a kernel multiplies.
bool IsRounded(Dtype dtype) {
  return dtype == Dtype::kMlxAffine ||
         (IsBlockDtype(dtype) && dtype != Dtype::kQ80 && dtype != Dtype::kQ40);
}

const char* TypeName(Precision in_memory) {
  switch (in_memory) {
    case Precision::kBf16:
      return "BF16";
    case Precision::kQ8:
      return "Q8_0";
    case Precision::kQ4:
      return "Q4_0";
    default:
      return "F32";
  }
}

// Warns if weights that the file has quantized in one way are quantized again in another.
void WarnOfRounding(const Checkpoint& checkpoint, Precision in_memory, ModelInfo* info) {
  if (in_memory == Precision::kF32) return;
  for (const DecoderLayerTensors& layer : checkpoint.tensors().decoder.layers) {
    for (const LinearTensors* linear :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      if (!IsRounded(linear->weight.dtype)) continue;
      info->warnings.push_back(fmt::format(
          "{}: {} weights are rounded once more, to {} in memory, since no kernel multiplies them "
          "as they are; precision f32 keeps their values",
          linear->weight.file, linear->weight.TypeText(), TypeName(in_memory)));
      return;
    }
  }
}

ModelInfo Describe(const std::string& directory, const Opened& opened) {
  const ModelConfig& config = opened.checkpoint.config();
  ModelInfo info;
  info.directory = directory;
  info.layout = config.layout;
  info.dtype = config.dtype_text;
  info.image_size = static_cast<int>(config.vision.image_size);
  info.pixels_per_token = static_cast<int>(config.vision.stride());
  for (const StageConfig& stage : config.vision.stages) {
    info.stage_blocks.push_back(stage.blocks);
    info.stage_channels.push_back(stage.channels);
  }
  info.feature_channels = config.vision.feature_channels;
  info.hidden = config.decoder.hidden;
  info.layers = config.decoder.layers;
  info.heads = config.decoder.heads;
  info.kv_heads = config.decoder.kv_heads;
  info.intermediate = config.decoder.intermediate;
  info.vocabulary = opened.tokenizer.size();
  info.context_tokens = config.decoder.context_tokens;
  info.tied_embeddings = config.decoder.tied_embeddings;
  info.vision_parameters = config.vision_parameters;
  info.projector_parameters = config.projector_parameters;
  info.decoder_parameters = config.decoder_parameters;
  info.file_bytes = config.file_bytes;
  info.calibration = config.calibration;
  info.warnings = opened.checkpoint.warnings();
  return info;
}

// The precision that kFastest stands for. A calibrated file is left as its maker wants it.
Precision Resolve(Precision asked, const ModelConfig& stored) {
  if (asked != Precision::kFastest) return asked;
  const bool keep = IsBlockDtype(stored.dtype) || stored.calibration.has_value();
  return keep ? Precision::kAsStored : DefaultPrecision();
}

// How the decoder's layers are held: kAsStored becomes the precision of the file.
Precision PrecisionInMemory(Precision asked, Dtype stored) {
  if (asked != Precision::kAsStored) return asked;
  if (stored == Dtype::kQ40) return Precision::kQ4;
  return IsBlockDtype(stored) ? Precision::kQ8 : Precision::kF32;
}

// The two tokens that can end an answer of Qwen2, and those that the configuration adds.
std::vector<int32_t> EosIds(const Opened& opened) {
  std::vector<int32_t> ids = opened.checkpoint.config().decoder.eos_ids;
  for (const char* name : {"<|im_end|>", "<|endoftext|>"}) {
    if (const auto id = opened.tokenizer.TokenId(name)) ids.push_back(*id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

Status CheckOptions(const ModelOptions& options) {
  FASTVLM_RETURN_IF_ERROR(CheckIsaEnvironment());
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return Error(StatusCode::kInvalidArgument, "threads is {}, expected 0 (automatic) to {}",
                 options.threads, kMaxThreads);
  }
  return {};
}

}  // namespace

Result<EncoderSize> ResolveSize(const ModelInfo& info, const EncodeOptions& options) {
  const int step = info.pixels_per_token;
  const EncoderSize size{options.height == 0 ? info.image_size : options.height,
                         options.width == 0 ? info.image_size : options.width};
  for (int side : {size.width, size.height}) {
    if (side < step || side % step != 0) {
      return Error(StatusCode::kInvalidArgument,
                   "resolution {}x{}: both sides must be multiples of {}; try {}x{}", size.width,
                   size.height, step, std::max(1, (size.width + step / 2) / step) * step,
                   std::max(1, (size.height + step / 2) / step) * step);
    }
  }
  if (int64_t{size.width} * size.height > kMaxEncoderPixels) {
    return Error(StatusCode::kResourceExhausted,
                 "resolution {}x{}: more than {} pixels; the model was trained for {}x{}",
                 size.width, size.height, kMaxEncoderPixels, info.image_size, info.image_size);
  }
  return size;
}

Result<ModelInfo> InspectModel(const std::string& directory, const std::string& vision_directory) {
  const MemoryUse use = {"the description of the model", "end other programs", directory};
  return CatchOutOfMemory(use, [&]() -> Result<ModelInfo> {
    FASTVLM_ASSIGN_OR_RETURN(const Opened opened, Open(directory, vision_directory));
    const ModelConfig& config = opened.checkpoint.config();
    ModelInfo info = Describe(directory, opened);
    const Precision usual = Resolve(Precision::kFastest, config);
    WarnOfRounding(opened.checkpoint, PrecisionInMemory(usual, config.dtype), &info);
    return info;
  });
}

Model::Model(std::unique_ptr<ModelImpl> impl) : impl_(std::move(impl)) {}
Model::~Model() = default;
const ModelImpl& ImplOf(const Model& model) { return *model.impl_; }
const ModelInfo& Model::info() const { return impl_->info; }
int Model::threads() const { return impl_->pool.threads(); }

int64_t ModelMemoryBytes(const Model& model) {
  const ModelImpl& impl = ImplOf(model);
  const DecoderConfig& config = impl.checkpoint.config().decoder;
  // Of each token its spelling, its bytes and a merge, in hash tables.
  constexpr int64_t kTokenizerBytes = 256;
  const int64_t embedding =
      static_cast<int64_t>(impl.checkpoint.tensors().decoder.embedding.bytes());
  return impl.info.weight_bytes + embedding + config.vocab_rows * kTokenizerBytes;
}

Result<std::shared_ptr<const Model>> Model::Load(const std::string& directory,
                                                 const ModelOptions& options,
                                                 const ProgressFn& progress) {
  const MemoryUse use = {"the weights", "load it at a precision of fewer bits", directory};
  return CatchOutOfMemory(use, [&]() -> Result<std::shared_ptr<const Model>> {
    FASTVLM_ASSIGN_OR_RETURN(std::unique_ptr<ModelImpl> impl,
                             ModelImpl::Load(directory, options, progress));
    return std::shared_ptr<const Model>(new Model(std::move(impl)));
  });
}

Result<std::unique_ptr<ModelImpl>> ModelImpl::Load(const std::string& directory,
                                                   const ModelOptions& options,
                                                   const ProgressFn& progress) {
  FASTVLM_RETURN_IF_ERROR(CheckOptions(options));
  FASTVLM_ASSIGN_OR_RETURN(Opened opened, Open(directory, options.vision_directory));
  ModelInfo info = Describe(directory, opened);
  std::vector<int32_t> eos_ids = EosIds(opened);
  std::vector<int32_t> banned_ids;
  if (const auto image_id = opened.tokenizer.TokenId("<image>")) banned_ids.push_back(*image_id);

  const Precision precision = Resolve(options.precision, opened.checkpoint.config());
  info.precision = PrecisionInMemory(precision, opened.checkpoint.config().dtype);
  WarnOfRounding(opened.checkpoint, info.precision, &info);
  const int threads = options.threads == 0 ? PhysicalCoreCount() : options.threads;
  auto impl = std::make_unique<ModelImpl>(std::move(opened.checkpoint), std::move(opened.tokenizer),
                                          precision, threads, progress);
  // Nearly all of the file was copied into packed weights, and parsing it left holes in the heap:
  // both are given back to the system.
  impl->checkpoint.ReleasePages();
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  impl->eos_ids = std::move(eos_ids);
  impl->banned_ids = std::move(banned_ids);
  impl->grammars = std::make_unique<GrammarCache>(impl->tokenizer, impl->eos_ids);
  info.weight_bytes = static_cast<int64_t>(impl->model.bytes());
  impl->info = std::move(info);
  return impl;
}

bool ModelImpl::RunEncoder(const PixelTensor& pixels, float* features, ComputeLock& lock,
                           const EncodeProgressFn& progress, const TapFn& tap) const {
  VisionWorkspace workspace = std::move(vision_workspace);
  EncodeProgressFn unlocked;
  if (progress) {
    unlocked = [&](double fraction) {
      lock.unlock();
      const bool go_on = progress(fraction);
      lock.lock();
      return go_on;
    };
  }
  const bool done = model.encoder().Forward(pixels.values.data(), pixels.height, pixels.width,
                                            features, workspace, pool, unlocked, tap);
  vision_workspace = std::move(workspace);
  return done;
}

Result<Buffer<float>> ModelImpl::Features(const Image& image, EncoderSize size, Fit fit,
                                          ComputeLock& lock, const EncodeProgressFn& progress,
                                          Timings* timings) const {
  return CatchOutOfMemory(kEncoderMemory, [&]() -> Result<Buffer<float>> {
    Stopwatch watch;
    FASTVLM_ASSIGN_OR_RETURN(const PixelTensor pixels,
                             Preprocess(image, size.height, size.width, fit, &pool));
    if (timings != nullptr) timings->image_ms += watch.Milliseconds();
    watch = Stopwatch();
    Buffer<float> features(static_cast<size_t>(model.TokenCount(size.height, size.width) *
                                               model.encoder().feature_channels()));
    if (!RunEncoder(pixels, features.data(), lock, progress)) {
      return Status(StatusCode::kCancelled, "encoding the picture was cancelled");
    }
    if (timings != nullptr) timings->encode_ms += watch.Milliseconds();
    return features;
  });
}

Result<Buffer<float>> ModelImpl::VisualTokens(const Image& image, EncoderSize size, Fit fit,
                                              ComputeLock& lock, const EncodeProgressFn& progress,
                                              Timings* timings) const {
  return CatchOutOfMemory(kEncoderMemory, [&]() -> Result<Buffer<float>> {
    FASTVLM_ASSIGN_OR_RETURN(const Buffer<float> features,
                             Features(image, size, fit, lock, progress, timings));
    const Stopwatch watch;
    const int64_t tokens = model.TokenCount(size.height, size.width);
    Buffer<float> visual(static_cast<size_t>(tokens * model.projector().hidden()));
    model.projector().Forward(features.data(), tokens, visual.data(), pool);
    if (timings != nullptr) timings->encode_ms += watch.Milliseconds();
    return visual;
  });
}

namespace {

EncodeProgressFn Uninterrupted(const ProgressFn& progress) {
  if (!progress) return {};
  return [&progress](double fraction) {
    progress(fraction);
    return true;
  };
}

Matrix ToMatrix(const Buffer<float>& values, int64_t columns) {
  return {static_cast<int64_t>(values.size()) / columns, columns, {values.begin(), values.end()}};
}

}  // namespace

Result<Matrix> Model::EncodeFeatures(const Image& image, const EncodeOptions& options,
                                     const ProgressFn& progress) const {
  return CatchOutOfMemory(kEncoderMemory, [&]() -> Result<Matrix> {
    FASTVLM_ASSIGN_OR_RETURN(const EncoderSize size, ResolveSize(impl_->info, options));
    ComputeLock lock(impl_->compute_mutex);
    FASTVLM_ASSIGN_OR_RETURN(
        const Buffer<float> features,
        impl_->Features(image, size, options.fit, lock, Uninterrupted(progress), nullptr));
    return ToMatrix(features, impl_->model.encoder().feature_channels());
  });
}

Result<Matrix> Model::EncodeVisualTokens(const Image& image, const EncodeOptions& options,
                                         const ProgressFn& progress) const {
  return CatchOutOfMemory(kEncoderMemory, [&]() -> Result<Matrix> {
    FASTVLM_ASSIGN_OR_RETURN(const EncoderSize size, ResolveSize(impl_->info, options));
    ComputeLock lock(impl_->compute_mutex);
    FASTVLM_ASSIGN_OR_RETURN(
        const Buffer<float> tokens,
        impl_->VisualTokens(image, size, options.fit, lock, Uninterrupted(progress), nullptr));
    return ToMatrix(tokens, impl_->model.projector().hidden());
  });
}

}  // namespace fastvlm
