// A conversation with a model about zero or more images.
#ifndef FASTVLM_SESSION_H_
#define FASTVLM_SESSION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fastvlm/export.h"
#include "fastvlm/image.h"
#include "fastvlm/model.h"
#include "fastvlm/options.h"
#include "fastvlm/status.h"

namespace fastvlm {

enum class FinishReason {
  kStop,       // the model ended its answer, or a stop text did
  kLength,     // max_tokens, or the end of the context
  kCancelled,  // the stream callback asked for it
};

struct Timings {
  double queue_ms = 0;    // in an engine: until it began with the request
  double image_ms = 0;    // bringing the images to the encoder's size
  double encode_ms = 0;   // vision encoder and projector, for all images of the turn
  double prefill_ms = 0;  // the decoder reads the prompt
  double ttft_ms = 0;     // from the call to the first token
  double decode_ms = 0;   // all tokens after the first
  double decode_tokens_per_s = 0;
};

struct Answer {
  std::string text;                // without special tokens and without spaces at both ends
  std::vector<int32_t> token_ids;  // as produced, with the token that ended the answer, if one did
  int64_t prompt_tokens = 0;       // of this turn, text and images together
  int64_t image_tokens = 0;        // those of them that are visual tokens
  int64_t cached_tokens = 0;       // those of them that an engine knew from an earlier request
  FinishReason finish_reason = FinishReason::kStop;
  std::string stop_text;  // the stop text that ended it; empty if none did
  Timings timings;
};

// One turn of the user. The text places the images with one "<image>" for each; if it has none,
// they stand before the text.
//
// Control tokens in the text, for example "<|im_end|>", act as control tokens, as in the reference
// program: the text can end the user's turn and begin another one. Whoever passes on the text of
// strangers has to remove such tokens first, if that matters.
struct UserTurn {
  std::string text;
  std::vector<Image> images;
  EncodeOptions encode;
};

// Called with each new piece of the answer, in whole characters; returning false ends the answer.
// Runs on the thread that called Ask, which waits for it, with nothing locked: it may take its time
// and use the model, other sessions and engines. It may not use its own session: Ask is
// kInvalidArgument from there, and Reset has no effect. What it throws ends Ask and leaves it; the
// session is then as before the call.
using StreamFn = std::function<bool(std::string_view piece)>;

// What a turn does before its first token. Its callback runs as a StreamFn does.
enum class AskPhase { kEncode, kPrefill };
using AskProgressFn = std::function<void(AskPhase phase, double fraction)>;

// Not thread-safe. A session keeps the keys and values of its conversation, so that a further turn
// costs only its own tokens.
class FASTVLM_EXPORT Session {
 public:
  static Result<Session> Create(std::shared_ptr<const Model> model,
                                const SessionOptions& options = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Adds the turn and generates an answer. After an error the session is as before the call, also
  // after kResourceExhausted for want of memory.
  Result<Answer> Ask(const UserTurn& turn, const GenerateOptions& options = {},
                     const StreamFn& stream = {}, const AskProgressFn& progress = {});

  // Tokens of the conversation so far, text and images.
  int64_t context_used() const;
  // Forgets the conversation.
  void Reset();

 private:
  struct FASTVLM_HIDDEN Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fastvlm

#endif  // FASTVLM_SESSION_H_
