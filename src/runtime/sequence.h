// A request on its way through an engine.
#ifndef FASTVLM_RUNTIME_SEQUENCE_H_
#define FASTVLM_RUNTIME_SEQUENCE_H_

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fastvlm/engine.h"
#include "grammar/token_constraint.h"
#include "model/kv_cache.h"
#include "runtime/answer_stream.h"
#include "runtime/clock.h"
#include "runtime/image_cache.h"
#include "runtime/prompt.h"
#include "runtime/sampler.h"
#include "runtime/stopwatch.h"

namespace fastvlm {

enum class SequenceState {
  kWaiting,   // nothing is computed yet
  kPrefill,   // the cache holds a part of the prompt, all pictures are encoded
  kDecode,    // the token to decode next is the last one
  kFinished,  // the end was told
};

struct Sequence {
  Sequence(const Tokenizer& tokenizer, bool trim, std::vector<std::string> stop)
      : stream(tokenizer, trim, std::move(stop)) {}

  // From the request.
  int64_t id = 0;
  GenerateOptions generate;
  int top_logprobs = -1;
  EngineCallback callback;
  std::optional<TimePoint> deadline;
  EncodeOptions encode;  // with the size filled in
  TokenSequence tokens;  // the prompt, then the answer
  int64_t prompt_tokens = 0;
  std::vector<std::shared_ptr<const Image>> pictures;  // of the prompt
  std::unique_ptr<TokenConstraint> constraint;         // may be null

  // Under way; used by the engine's thread only.
  bool admitted = false;  // among those that are computed together
  SequenceState state = SequenceState::kWaiting;
  std::vector<VisualTokens> visual;  // of the pictures; null where the cache has them
  std::unique_ptr<KvCache> cache;
  std::optional<Sampler> sampler;
  AnswerStream stream;
  Answer answer;
  Stopwatch since_submit;
  Stopwatch since_phase;  // prefill, then decoding

  // The token chosen last; -1 if there was none to choose.
  int32_t token = -1;
  TokenLogprob logprob;
  std::vector<TokenLogprob> alternatives;
  std::vector<float> raw_logits;  // with top_logprobs

  // Chooses `token` from logits, [vocabulary], which are changed. Touches nothing but this
  // sequence.
  void Choose(std::span<float> logits, std::span<const int32_t> banned_ids,
              const Tokenizer& tokenizer);
};

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_SEQUENCE_H_
