// Many requests to one model at once: what a server runs on.
#ifndef FASTVLM_ENGINE_H_
#define FASTVLM_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fastvlm/image.h"
#include "fastvlm/model.h"
#include "fastvlm/options.h"
#include "fastvlm/session.h"
#include "fastvlm/status.h"

namespace fastvlm {

struct EngineOptions {
  int max_active = 32;                 // requests that are decoded together, 1..256
  int max_queued = 64;                 // requests that wait for one of them to end, >= 0
  int64_t context_tokens = 0;          // of each request; 0: what the model was trained for
  CacheType cache = CacheType::kAuto;  // of keys and values
  int64_t image_cache_bytes = int64_t{256} << 20;   // of visual tokens; 0: none are kept
  int64_t prefix_cache_bytes = int64_t{512} << 20;  // of keys and values; 0: none are kept
};

enum class Role { kSystem, kUser, kAssistant };

// Text, or a picture where it stands in the message. Pictures that only come after all the text of
// their message are put before it, as the models were trained. Texts may place the pictures
// instead, with one "<image>" for each.
struct ContentPart {
  std::string text;
  std::shared_ptr<const Image> image;
};

struct Message {
  Role role = Role::kUser;
  std::vector<ContentPart> content;
};

struct EngineRequest {
  std::vector<Message> messages;      // a conversation; the answer is the assistant's next message
  std::optional<std::string> prompt;  // instead of messages: text that is gone on with as it is
  EncodeOptions encode;
  GenerateOptions generate;
  std::vector<std::string> stop;  // the answer ends before the first of these
  int top_logprobs = -1;          // -1: no log probabilities; else so many alternatives, 0..20
  double timeout_ms = 0;          // from Submit on, queueing included; 0: none
};

struct TokenLogprob {
  int32_t token = 0;
  std::string bytes;
  float logprob = 0;
};

// A produced token, or the end of the answer.
struct EngineEvent {
  std::string_view text;                // whole characters that are new; may be empty
  const TokenLogprob* token = nullptr;  // with top_logprobs >= 0
  std::vector<TokenLogprob> alternatives;
  // At the end, and only then: the whole answer, or why there is none (kTimedOut, kDataError,
  // kResourceExhausted for want of memory, kCancelled if the callback threw). An answer that was
  // cancelled is as far as it came.
  const Answer* answer = nullptr;
  Status status;
};
// Called on the engine's thread, one event after the other. Returning false cancels. Nothing is
// locked meanwhile: the callback may use its engine (but Drain returns at once there), the model
// and sessions. It should not block, since the engine's other requests wait for it; sessions and
// other engines do not. It must not destroy its engine, which would wait for itself. If it throws,
// its request ends with an error and the others go on.
using EngineCallback = std::function<bool(const EngineEvent& event)>;

struct EngineStats {
  int64_t active = 0, queued = 0;
  int64_t requests = 0, rejected = 0, cancelled = 0, failed = 0, timed_out = 0;
  int64_t prompt_tokens = 0, cached_prompt_tokens = 0, generated_tokens = 0;
  int64_t images_encoded = 0, image_cache_hits = 0, image_cache_bytes = 0;
  int64_t prefix_cache_hits = 0, prefix_cache_bytes = 0;
};

// Thread-safe. Requests are prefilled in chunks between steps that decode all active ones in one
// pass over the weights. Each answer is the one the request would have had alone. A session on the
// same model takes turns with the engine: it waits for one step at most each time.
class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Create(std::shared_ptr<const Model> model,
                                                const EngineOptions& options = {});
  ~Engine();  // cancels what is still there

  // The callback gets every event, the end included, unless Submit itself fails: with
  // kInvalidArgument (also if the prompt is too long for the context), kResourceExhausted when the
  // queue is full, kCancelled after Drain. Tokenizes the prompt and hashes its
  // pictures on the caller's thread.
  Result<int64_t> Submit(EngineRequest request, EngineCallback callback);
  void Cancel(int64_t id);  // of a request that has ended: nothing

  // No more requests; returns when those that run have ended, or cancels them after the time. From
  // inside a callback, which those would wait for, it returns at once.
  void Drain(double timeout_ms);

  EngineStats stats() const;
  const Model& model() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fastvlm

#endif  // FASTVLM_ENGINE_H_
