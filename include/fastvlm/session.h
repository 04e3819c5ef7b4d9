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
  kCancelled,  // the stream callback said so
};

struct Timings {
  double queue_ms = 0;    // until an engine began with the request
  double image_ms = 0;    // bringing the images to the encoder's size
  double encode_ms = 0;   // vision encoder and projector, all images of the turn
  double prefill_ms = 0;  // decoder over the prompt
  double ttft_ms = 0;     // from the call to the first token
  double decode_ms = 0;   // all tokens after the first
  double decode_tokens_per_s = 0;
};

struct Answer {
  std::string text;                // without special tokens, spaces at both ends removed
  std::vector<int32_t> token_ids;  // as produced, with the one that ended the answer if it did
  int64_t prompt_tokens = 0;       // text and image together, of this turn
  int64_t image_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, known to an engine from an earlier request
  FinishReason finish_reason = FinishReason::kStop;
  Timings timings;
};

// One turn of the user. Each image stands where "<image>" does in the text, or before it if the
// text has none.
struct UserTurn {
  std::string text;
  std::vector<Image> images;
  EncodeOptions encode;
};

// Called with each piece of whole characters as it is produced; returning false ends the answer.
using StreamFn = std::function<bool(std::string_view piece)>;

// What a turn does before its first token.
enum class AskPhase { kEncode, kPrefill };
using AskProgressFn = std::function<void(AskPhase phase, double fraction)>;

// Not thread-safe. Owns the keys and values of its conversation, so a further turn costs only
// its own tokens.
class FASTVLM_EXPORT Session {
 public:
  static Result<Session> Create(std::shared_ptr<const Model> model,
                                const SessionOptions& options = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Adds the turn and generates an answer. After an error the session is as before the call.
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
