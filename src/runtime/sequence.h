// A request on its way through an engine.
#ifndef FASTVLM_RUNTIME_SEQUENCE_H_
#define FASTVLM_RUNTIME_SEQUENCE_H_

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/stopwatch.h"
#include "fastvlm/engine.h"
#include "grammar/token_constraint.h"
#include "model/kv_cache.h"
#include "runtime/answer_stream.h"
#include "runtime/clock.h"
#include "runtime/engine_memory.h"
#include "runtime/image_cache.h"
#include "runtime/prompt.h"
#include "runtime/token_chooser.h"

namespace fastvlm {

enum class SequenceState {
  kWaiting,   // nothing is computed yet
  kEncode,    // it has a cache, and some of its pictures are still to be encoded
  kPrefill,   // all pictures are encoded, and the cache holds a part of the prompt
  kDecode,    // the prompt was read; the next step decodes the token that was chosen last
  kFinished,  // the callback was told the end
};

struct Sequence {
  Sequence(const Tokenizer& tokenizer, bool trim, std::vector<std::string> stop)
      : stream(tokenizer, trim, std::move(stop)) {}

  // From the request.
  int64_t id = 0;
  uint64_t owner = 0;
  GenerateOptions generate;
  int top_logprobs = -1;
  EngineCallback callback;
  std::optional<TimePoint> deadline;
  EncodeOptions encode;  // with the size filled in
  TokenSequence tokens;  // the prompt, then the answer
  int64_t prompt_tokens = 0;
  std::vector<std::shared_ptr<const Image>> pictures;  // of the prompt; null if not needed any more
  std::unique_ptr<TokenConstraint> constraint;         // null for free text; the chooser takes it

  // What it needs of the engine's memory: from Submit to its end, for its pictures until they are
  // encoded, and while it is computed.
  EngineMemory::Claim waiting_memory, picture_memory, active_memory;
  // How many that came later were admitted, because there was memory for them and not for this one.
  int overtaken = 0;
  bool passed_by = false;  // in the admission under way

  std::atomic<bool> cancelled = false;  // by the caller; the engine looks at it between steps

  // The request under way. Only the engine's thread uses it.
  bool admitted = false;  // among those that are computed together
  SequenceState state = SequenceState::kWaiting;
  // Of each picture; null if the cache holds its positions, or as long as it is to be encoded.
  std::vector<VisualTokens> visual;
  size_t next_picture = 0;  // while kEncode: which one is encoded next
  // How much work was done for its prompt and for those of its owner, in multiply-adds. Who has
  // least is served next.
  struct Share {
    double owner = 0;
    double request = 0;
  };
  Share share;
  std::unique_ptr<KvCache> cache;
  std::optional<TokenChooser> chooser;
  AnswerStream stream;
  Answer answer;
  Stopwatch since_submit;
  Stopwatch since_phase;  // since prefill began, later since decoding did

  // The token that was chosen last; -1 if there was none to choose.
  int32_t token = -1;
  Status choice;  // an error if choosing it failed
  TokenLogprob logprob;
  std::vector<TokenLogprob> alternatives;
  std::vector<float> raw_logits;  // with top_logprobs

  // Chooses `token` from logits, [vocabulary], which are changed. Touches nothing but this
  // sequence.
  void Choose(std::span<float> logits, const Tokenizer& tokenizer);

  // Calls the callback, if there is one: whether more is wanted. What it throws is an error.
  Result<bool> Tell(const EngineEvent& event);
};

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_SEQUENCE_H_
