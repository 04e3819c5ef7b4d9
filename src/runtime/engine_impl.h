// The engine's inside. Submit makes sequences; one thread takes them from the inbox and computes.
#ifndef FASTVLM_RUNTIME_ENGINE_IMPL_H_
#define FASTVLM_RUNTIME_ENGINE_IMPL_H_

#include <condition_variable>
#include <deque>
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

struct Engine::Impl {
  Impl(std::shared_ptr<const Model> model, const EngineOptions& options, int64_t context);

  // On the caller's thread (engine.cc).
  Result<std::unique_ptr<Sequence>> Prepare(EngineRequest request) const;
  Status SetPrompt(const EngineRequest& request, Sequence& sequence) const;

  // On the engine's thread. The steps of its loop (engine_loop.cc):
  void Run();
  bool WaitForWork();
  void ReadInbox();  // also cancels and times out
  void Admit();
  void Finish(Sequence& sequence, std::optional<FinishReason> reason, const Status& error);
  // ... and what they compute (engine_step.cc):
  void Start(Sequence& sequence);
  int64_t ReusePrefix(Sequence& sequence);
  bool EncodePictures(Sequence& sequence, int64_t known);
  void Step(bool with_prefill);
  void EmbedPrompt(const Sequence& sequence, int64_t first, int64_t count, float* out) const;
  void ChooseTokens(std::span<Sequence* const> chosen);
  void Deliver(Sequence& sequence);

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
  std::deque<std::unique_ptr<Sequence>> inbox;
  std::vector<int64_t> cancelled;
  bool cancel_all = false;
  bool draining = false;
  bool stop = false;
  int64_t unfinished = 0;
  int64_t ending = 0;  // of them, those that are only to be told so
  int64_t last_id = 0;
  EngineStats stats;  // ... to here

  // The engine's thread only.
  std::deque<std::unique_ptr<Sequence>> queue;
  std::vector<std::unique_ptr<Sequence>> active;  // in the order of their admission
  ImageCache image_cache;
  PrefixCache prefix_cache;
  DecoderWorkspace workspace;
  Buffer<float> x;       // [workspace.max_tokens, hidden]
  Buffer<float> logits;  // [max_active, vocabulary]
  std::vector<DecoderSegment> segments;
  std::vector<Sequence*> rows;

  std::thread thread;  // last, so that all it uses is there
};

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_ENGINE_IMPL_H_
