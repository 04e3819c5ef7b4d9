// What a Model holds. The files that implement the public classes reach it through ImplOf(model).
#ifndef FASTVLM_RUNTIME_MODEL_IMPL_H_
#define FASTVLM_RUNTIME_MODEL_IMPL_H_

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "base/buffer.h"
#include "base/fair_mutex.h"
#include "base/out_of_memory.h"
#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "fastvlm/model.h"
#include "fastvlm/session.h"
#include "grammar/json_grammar.h"
#include "image/preprocess.h"
#include "model/fastvlm.h"
#include "text/tokenizer.h"

namespace fastvlm {

// The size of the encoder's input, in pixels.
struct EncoderSize {
  int height;
  int width;
};
// The size that the options ask for, checked against the model.
Result<EncoderSize> ResolveSize(const ModelInfo& info, const EncodeOptions& options);

// Holds ModelImpl::compute_mutex.
using ComputeLock = std::unique_lock<FairMutex>;

// For messages where memory is short.
inline constexpr MemoryUse kEncoderMemory = {"the activations of the image encoder",
                                             "lower the resolution"};

struct ModelImpl {
  ModelImpl(Checkpoint checkpoint_in, Tokenizer tokenizer_in, Precision precision, int threads,
            const ProgressFn& progress)
      : checkpoint(std::move(checkpoint_in)),
        tokenizer(std::move(tokenizer_in)),
        pool(threads),
        model(checkpoint, tokenizer.size(), precision, pool, progress) {}

  static Result<std::unique_ptr<ModelImpl>> Load(const std::string& directory,
                                                 const ModelOptions& options,
                                                 const ProgressFn& progress);

  // One pass of the image encoder, as VisionEncoder::Forward. While `progress` runs, `lock` is
  // released: others may compute then, and the callback may use the model.
  bool RunEncoder(const PixelTensor& pixels, float* features, ComputeLock& lock,
                  const EncodeProgressFn& progress, const TapFn& tap = {}) const;
  // The encoder's features of a picture, [TokenCount, feature_channels], and its visual tokens,
  // [TokenCount, hidden]; `lock` as in RunEncoder. kInvalidArgument for an empty picture,
  // kCancelled if `progress` returned false, kResourceExhausted without memory. The time is added
  // to `timings`, which may be null.
  Result<Buffer<float>> Features(const Image& image, EncoderSize size, Fit fit, ComputeLock& lock,
                                 const EncodeProgressFn& progress, Timings* timings) const;
  Result<Buffer<float>> VisualTokens(const Image& image, EncoderSize size, Fit fit,
                                     ComputeLock& lock, const EncodeProgressFn& progress,
                                     Timings* timings) const;
  bool IsEos(int32_t token) const {
    return std::find(eos_ids.begin(), eos_ids.end(), token) != eos_ids.end();
  }

  Checkpoint checkpoint;
  Tokenizer tokenizer;
  std::vector<int32_t> eos_ids;     // any of them ends an answer
  std::vector<int32_t> banned_ids;  // placeholders that are no output
  ModelInfo info;
  std::unique_ptr<GrammarCache> grammars;  // for constrained answers

  // The pool runs one loop at a time, so whoever computes holds the mutex: for one pass of the
  // decoder or the encoder, and never while a callback of the user runs. It is fair, so that
  // sessions and engines take turns.
  mutable FairMutex compute_mutex;
  mutable ThreadPool pool;
  // The workspace of the last pass of the encoder, for the next one. A pass takes it away; one that
  // begins before that pass has ended makes its own.
  mutable VisionWorkspace vision_workspace;
  FastVlm model;
};

const ModelImpl& ImplOf(const Model& model);

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_MODEL_IMPL_H_
