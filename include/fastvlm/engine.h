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

#include "fastvlm/export.h"
#include "fastvlm/image.h"
#include "fastvlm/model.h"
#include "fastvlm/options.h"
#include "fastvlm/session.h"
#include "fastvlm/status.h"

namespace fastvlm {

struct EngineOptions {
  int max_active = 32;                 // requests that are decoded together, 1..256
  int max_queued = 64;                 // requests that wait for one of them to end, >= 0
  int64_t context_tokens = 0;          // for each request; 0: what the model was trained for
  CacheType cache = CacheType::kAuto;  // of keys and values
  int64_t image_cache_bytes = int64_t{256} << 20;   // for visual tokens; 0: none are kept
  int64_t prefix_cache_bytes = int64_t{512} << 20;  // for keys and values; 0: none are kept
  // The most that the engine holds beside the model, in bytes: its workspaces, everything that its
  // requests need from Submit to their end (their pictures too), and both caches, which give way to
  // requests. All of it is counted before it is allocated. 0: no limit.
  int64_t memory_bytes = 0;
};

enum class Role { kSystem, kUser, kAssistant };

// A part of a message: a picture if there is one, else text. Pictures that stand after all the text
// of their message are put before it, as the models were trained. The texts may place the pictures
// instead, with one "<image>" for each picture of the message.
//
// Control tokens in a text, for example "<|im_end|>", act as control tokens, as in the reference
// program: a text can end its message and begin another one. Whoever passes on the text of
// strangers has to remove such tokens first, if that matters.
struct ContentPart {
  std::string text;
  std::shared_ptr<const Image> image;
};

struct Message {
  Role role = Role::kUser;
  std::vector<ContentPart> content;
};

struct EngineRequest {
  // Whose request it is. What the engine remembers of pictures and prompts is used again for the
  // same owner only, so that neither counts nor times tell one owner what another has sent.
  uint64_t owner = 0;
  std::vector<Message> messages;      // a conversation; the answer is the assistant's next message
  std::optional<std::string> prompt;  // instead of messages: a text that the model continues
  EncodeOptions encode;
  GenerateOptions generate;
  std::vector<std::string> stop;  // the answer ends before the first of these
  // With each token come the log probabilities of so many of the likeliest tokens, 0..20, and its
  // own. -1: no log probabilities.
  int top_logprobs = -1;
  double timeout_ms = 0;  // from Submit on, with the time in the queue; 0: none
  // Asked now and then while Submit reads the JSON schema, which takes long for some: true ends
  // that with kCancelled. Empty: nobody is asked.
  std::function<bool()> unwanted;
};

struct TokenLogprob {
  int32_t token = 0;
  std::string bytes;  // of the token; may be a part of a character
  float logprob = 0;  // natural logarithm, before sampling options and grammar
};

// A produced token, or the end of the answer.
struct EngineEvent {
  std::string_view text;                   // what is new, in whole characters; may be empty
  const TokenLogprob* token = nullptr;     // null without top_logprobs
  std::vector<TokenLogprob> alternatives;  // the likeliest tokens, the first one first
  // Only at the end: the whole answer, or the reason why there is none (kTimedOut, kDataError,
  // kResourceExhausted if there is too little memory, kCancelled if the callback threw). An answer
  // that was cancelled holds what was produced until then.
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
  int64_t memory_bytes = 0;  // what EngineOptions::memory_bytes limits, with both caches
};

// What a loaded model holds in memory, in bytes, nearly: its packed weights, the pages of its file
// that stay in use (the embedding) and its tokenizer. A process takes this, the memory_bytes of its
// engines and its own needs.
FASTVLM_EXPORT int64_t ModelMemoryBytes(const Model& model);

// Thread-safe. The engine works step by step, each step being one pass over the weights: it decodes
// a token for each active request and reads a chunk of one prompt, or encodes a part of a picture.
// Owners have equal shares of this work, and so have the requests of each. Each answer is the one
// that the request would have had alone. A session on the same model takes turns with the engine:
// each time it waits for one step at most.
class FASTVLM_EXPORT Engine {
 public:
  static Result<std::unique_ptr<Engine>> Create(std::shared_ptr<const Model> model,
                                                const EngineOptions& options = {});
  ~Engine();  // cancels the requests that are still there

  // Gives the request's id. The callback then gets every event, the end included. If Submit itself
  // fails it is never called: kInvalidArgument (also if the prompt is too long for the context, or
  // if the request needs more than memory_bytes even alone), kResourceExhausted when the queue is
  // full or there is no memory for what waits in it, kCancelled after Drain. The prompt is
  // tokenized and its pictures are hashed on the caller's thread. A request for which there is too
  // little memory now, but may be later, waits in the queue.
  Result<int64_t> Submit(EngineRequest request, EngineCallback callback);
  // The tokens that the prompt of this request has, its pictures included. kInvalidArgument as from
  // Submit.
  Result<int64_t> CountTokens(const EngineRequest& request) const;
  void Cancel(int64_t id);  // does nothing if the request has ended

  // What the engine holds whether there are requests or not, in bytes: a part of memory_bytes.
  int64_t workspace_bytes() const;

  // Takes no more requests from now on. Returns when those that are there have ended; after the
  // time it cancels them. From inside a callback, for which those would wait, it returns at once.
  void Drain(double timeout_ms);

  EngineStats stats() const;
  const Model& model() const;

 private:
  struct FASTVLM_HIDDEN Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fastvlm

#endif  // FASTVLM_ENGINE_H_
