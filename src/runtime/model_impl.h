// What a Model holds. The files that implement the public classes reach it through ImplOf(model).
#ifndef FASTVLM_RUNTIME_MODEL_IMPL_H_
#define FASTVLM_RUNTIME_MODEL_IMPL_H_

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "fastvlm/model.h"
#include "fastvlm/session.h"
#include "grammar/json_grammar.h"
#include "model/fastvlm.h"
#include "text/tokenizer.h"

namespace fastvlm {

// Encoder input for the options, checked against the model.
struct EncoderSize {
  int height;
  int width;
};
Result<EncoderSize> ResolveSize(const ModelInfo& info, const EncodeOptions& options);

struct ModelImpl {
  ModelImpl(Checkpoint checkpoint_in, Tokenizer tokenizer_in, Precision precision, int threads,
            const ProgressFn& progress)
      : checkpoint(std::move(checkpoint_in)),
        tokenizer(std::move(tokenizer_in)),
        pool(threads),
        model(checkpoint, tokenizer.size(), precision, pool, progress) {}

  // The encoder's features of a picture, [TokenCount, feature_channels], and its visual tokens,
  // [TokenCount, hidden]. The caller holds compute_mutex. kInvalidArgument for an empty picture,
  // kCancelled if `progress` ended it. Adds to the times, if any.
  Result<Buffer<float>> Features(const Image& image, EncoderSize size, Fit fit,
                                 const EncodeProgressFn& progress, Timings* timings) const;
  Result<Buffer<float>> VisualTokens(const Image& image, EncoderSize size, Fit fit,
                                     const EncodeProgressFn& progress, Timings* timings) const;
  bool IsEos(int32_t token) const {
    return std::find(eos_ids.begin(), eos_ids.end(), token) != eos_ids.end();
  }

  Checkpoint checkpoint;
  Tokenizer tokenizer;
  std::vector<int32_t> eos_ids;     // any of them ends an answer
  std::vector<int32_t> banned_ids;  // placeholders that are no output
  ModelInfo info;
  std::unique_ptr<GrammarCache> grammars;  // for constrained answers

  // The pool runs one loop at a time, so whoever computes holds the mutex.
  mutable std::mutex compute_mutex;
  mutable ThreadPool pool;
  mutable VisionWorkspace vision_workspace;
  FastVlm model;
};

const ModelImpl& ImplOf(const Model& model);

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_MODEL_IMPL_H_
