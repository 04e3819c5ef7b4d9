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
#include "base/fair_mutex.h"
#include "fastvlm/engine.h"
#include "grammar/json_grammar.h"
#include "runtime/engine_memory.h"
#include "runtime/model_impl.h"
#include "runtime/picture_encoding.h"
#include "runtime/sequence.h"

namespace fastvlm {

// For messages where memory is short.
inline constexpr MemoryUse kRequestMemory = {
    "this request", "shorten its prompt, lower its resolution or its max_tokens, or try again"};

using Sequences = std::list<std::unique_ptr<Sequence>>;

struct Engine::Impl {
  Impl(std::shared_ptr<const Model> model, const EngineOptions& options, int64_t context);

  // On the caller's thread (engine.cc, engine_prompt.cc).
  Result<int64_t> Submit(EngineRequest request, EngineCallback callback);
  Status CheckRoom();
  // How much memory it takes to compute the sequence, and to encode its pictures.
  int64_t ActiveBytes(const Sequence& sequence) const;
  int64_t EncoderBytes(const Sequence& sequence) const;
  int64_t Capacity(const Sequence& sequence) const;
  int64_t WorkspaceBytes() const;
  Result<std::unique_ptr<Sequence>> Prepare(EngineRequest request);
  Status SetPrompt(const EngineRequest& request, Sequence& sequence);
  Result<std::vector<int32_t>> Tokenize(std::string_view text, int64_t per_picture);
  Status ClaimWaiting(Sequence& sequence);

  // On the engine's thread. None of these throws: what one request has no memory for, or what its
  // callback throws, ends this request and no other.
  // The steps of its loop (engine_loop.cc):
  void Run();
  bool WaitForWork();
  void ReadInbox();  // also cancels and times out
  // ... which requests are computed (engine_admission.cc):
  void Admit();
  bool AdmitOne();
  bool ClaimActive(Sequence& sequence);
  void GiveBackEncoder();
  void Finish(Sequence& sequence, std::optional<FinishReason> reason, Status error);
  // ... and what they compute (engine_step.cc):
  void Start(Sequence& sequence);
  void EncodeStep(Sequence& sequence);
  void Step(Sequence* prefill);
  void Deliver(Sequence& sequence);
  // Their parts, which may throw for want of memory:
  Status Begin(Sequence& sequence);
  int64_t ReusePrefix(Sequence& sequence);
  void FindPictures(Sequence& sequence, int64_t known);
  void GoToNextPicture(Sequence& sequence);
  void TakePicture(Sequence& sequence);
  void Compute(Sequence* prefill, int64_t prefill_rows);
  void EmbedPrompt(const Sequence& sequence, int64_t first, int64_t count, float* out) const;
  void ChooseTokens();
  Status Accept(Sequence& sequence, std::optional<FinishReason>* reason);

  // Whose prompt comes next (engine_schedule.cc). These allocate nothing:
  void Join(Sequence& sequence);
  void CountWork(Sequence& sequence, double work);
  bool MustWait(const Sequence& sequence) const;
  Sequence* NextPrompt() const;
  void Advance();

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
  const double work_per_token;  // of the decoder, in multiply-adds

  EngineMemory memory;
  // Held while a large text is tokenized, which takes many times its size: one at a time.
  FairMutex tokenizing;

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
  std::optional<PictureEncoding> encoding;        // the one under way
  Sequence* encoding_for = nullptr;               // whose picture that is; null if there is none
  EngineMemory::Claim encoder_memory;  // enough for each picture of those that are active
  DecoderWorkspace workspace;
  Buffer<float> x;                       // [workspace.max_tokens, hidden]
  Buffer<float> logits;                  // [max_active, vocabulary]
  std::vector<DecoderSegment> segments;  // of the pass under way
  std::vector<Sequence*> rows;           // those that the pass gives a token
  EngineMemory::Claim workspace_memory;  // for all of these

  std::thread thread;  // the last member, so that everything it uses is there before it starts
};

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_ENGINE_IMPL_H_
