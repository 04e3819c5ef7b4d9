// The engine's inside. Submit makes sequences; one thread takes them from the inbox and computes.
#ifndef FASTVLM_RUNTIME_ENGINE_IMPL_H_
#define FASTVLM_RUNTIME_ENGINE_IMPL_H_

#include <condition_variable>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "fastvlm/engine.h"
#include "grammar/json_grammar.h"
#include "runtime/image_cache.h"
#include "runtime/model_impl.h"
#include "runtime/prefix_cache.h"
#include "runtime/sequence.h"

namespace fastvlm {

// For messages where memory is short.
inline constexpr MemoryUse kRequestMemory = {
    "this request", "shorten its prompt, lower its resolution or its max_tokens, or try again"};

using Sequences = std::list<std::unique_ptr<Sequence>>;

struct Engine::Impl {
  Impl(std::shared_ptr<const Model> model, const EngineOptions& options, int64_t context);

  // On the caller's thread (engine.cc).
  Result<int64_t> Submit(EngineRequest request, EngineCallback callback);
  Status CheckRoom();
  Result<std::unique_ptr<Sequence>> Prepare(EngineRequest request) const;
  Status SetPrompt(const EngineRequest& request, Sequence& sequence) const;

  // On the engine's thread. None of these throws: what one request has no memory for, or what its
  // callback throws, ends this request and no other.
  // The steps of its loop (engine_loop.cc):
  void Run();
  bool WaitForWork();
  void ReadInbox();  // also cancels and times out
  void Admit();
  void Finish(Sequence& sequence, std::optional<FinishReason> reason, Status error);
  // ... and what they compute (engine_step.cc):
  void Start(Sequence& sequence);
  void Step(bool with_prefill);
  void Deliver(Sequence& sequence);
  // Their parts, which may throw for want of memory:
  Status Begin(Sequence& sequence);
  int64_t ReusePrefix(Sequence& sequence);
  Status EncodePictures(Sequence& sequence, int64_t known);
  void Compute(Sequence* prefill, int64_t prefill_rows);
  void EmbedPrompt(const Sequence& sequence, int64_t first, int64_t count, float* out) const;
  void ChooseTokens();
  Status Accept(Sequence& sequence, std::optional<FinishReason>* reason);

  template <typename Change>
  void UpdateStats(const Change& change) {
    const std::lock_guard lock(mutex);
    change(stats);
  }

  const std::shared_ptr<const Model> model;
  const ModelImpl& shared;
  const Decoder& decoder;
  const EngineOptions options;
  const int64_t context;
  const KvType kv_type;

  mutable std::mutex mutex;  // guards from here ...
  std::condition_variable news;
  std::condition_variable ended;
  Sequences inbox;
  std::map<int64_t, Sequence*> unfinished;  // by id
  bool cancel_all = false;
  bool draining = false;
  bool stop = false;
  // How many of those that are unfinished take no room any more: their end is being told.
  int64_t ending = 0;
  int64_t last_id = 0;
  EngineStats stats;  // ... to here

  // Used by the engine's thread only.
  Sequences queue;
  std::vector<std::unique_ptr<Sequence>> active;  // in the order of their admission
  ImageCache image_cache;
  PrefixCache prefix_cache;
  DecoderWorkspace workspace;
  Buffer<float> x;                       // [workspace.max_tokens, hidden]
  Buffer<float> logits;                  // [max_active, vocabulary]
  std::vector<DecoderSegment> segments;  // of the pass under way
  std::vector<Sequence*> rows;           // those that the pass gives a token

  std::thread thread;  // the last member, so that everything it uses is there before it starts
};

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_ENGINE_IMPL_H_
