#include <algorithm>

#include "base/status.h"
#include "runtime/clock.h"
#include "runtime/engine_impl.h"
#include "runtime/prefill.h"

namespace fastvlm {
namespace {

bool IsFinished(const std::unique_ptr<Sequence>& sequence) {
  return sequence->state == SequenceState::kFinished;
}

Status TimedOut(const Sequence& sequence) {
  return CatchOutOfMemory(kRequestMemory, [&] {
    return Error(StatusCode::kTimedOut,
                 "the request timed out after {:.0f} ms, with {} tokens of its answer",
                 sequence.since_submit.Milliseconds(), sequence.answer.token_ids.size());
  });
}

}  // namespace

Engine::Impl::Impl(std::shared_ptr<const Model> model_in, const EngineOptions& options_in,
                   int64_t context_in)
    : model(std::move(model_in)),
      shared(ImplOf(*model)),
      decoder(shared.model.decoder()),
      options(options_in),
      context(context_in),
      kv_type(CacheTypeOf(options.cache, model->info().precision)),
      work_per_token(static_cast<double>(model->info().decoder_parameters)),
      memory(options.memory_bytes, options.image_cache_bytes, decoder.config(), kv_type,
             options.prefix_cache_bytes),
      workspace(decoder, options.max_active + kPrefillChunk, context, model->threads(),
                options.max_active + 1),
      x(static_cast<size_t>(workspace.max_tokens * decoder.config().hidden)),
      logits(static_cast<size_t>(options.max_active * decoder.vocabulary())) {
  // So that the engine's thread, which has nobody to report to, need not allocate for itself.
  active.reserve(static_cast<size_t>(options.max_active));
  segments.reserve(static_cast<size_t>(options.max_active) + 1);
  rows.reserve(static_cast<size_t>(options.max_active) + 1);
  if (auto claim = memory.Take(WorkspaceBytes())) workspace_memory = *std::move(claim);
}

void Engine::Impl::Run() {
  while (WaitForWork()) {
    ReadInbox();
    std::erase_if(active, IsFinished);
    GiveBackEncoder();
    Admit();
    Advance();
  }
}

// False when the engine is ending and there is nothing more to do.
bool Engine::Impl::WaitForWork() {
  std::erase_if(active, IsFinished);
  GiveBackEncoder();
  if (!active.empty() || !queue.empty()) return true;
  std::unique_lock lock(mutex);
  news.wait(lock, [&] { return stop || !inbox.empty(); });
  return !stop || !inbox.empty();
}

void Engine::Impl::ReadInbox() {
  bool all = false;
  {
    const std::lock_guard lock(mutex);
    queue.splice(queue.end(), inbox);
    all = cancel_all;
  }
  const TimePoint now = Now();
  const auto check = [&](Sequence& sequence) {
    if (sequence.state == SequenceState::kFinished) return;
    if (all || sequence.cancelled) {
      Finish(sequence, FinishReason::kCancelled, {});
    } else if (sequence.deadline && now >= *sequence.deadline) {
      Finish(sequence, std::nullopt, TimedOut(sequence));
    }
  };
  for (const auto& sequence : queue) check(*sequence);
  for (const auto& sequence : active) check(*sequence);
  std::erase_if(queue, IsFinished);
}

// Tells the callback the end: an answer with its reason, or an error. The sequence stays in its
// list.
void Engine::Impl::Finish(Sequence& sequence, std::optional<FinishReason> reason, Status error) {
  sequence.state = SequenceState::kFinished;
  if (encoding_for == &sequence) {
    encoding.reset();
    encoding_for = nullptr;
  }
  const FinishReason why = reason.value_or(FinishReason::kStop);
  bool answered = reason.has_value();
  EngineEvent event;
  Answer& answer = sequence.answer;
  Status concluded = CatchOutOfMemory(kRequestMemory, [&]() -> Status {
    event.text = sequence.stream.Finish();
    if (answered) {
      answer.text = sequence.stream.text();
      answer.stop_text = sequence.stream.stop_text();
    }
    return {};
  });
  if (answered && !concluded.ok()) {
    answered = false;
    error = std::move(concluded);
  }
  const bool timed_out = error.code() == StatusCode::kTimedOut;
  if (answered) {
    answer.finish_reason = why;
    const size_t tokens = answer.token_ids.size();
    if (tokens > 0) answer.timings.decode_ms = sequence.since_phase.Milliseconds();
    if (tokens > 1) {
      answer.timings.decode_tokens_per_s =
          static_cast<double>(tokens - 1) * 1000 / answer.timings.decode_ms;
    }
    event.answer = &answer;
  } else {
    event.status = std::move(error);
  }
  // Numbers and caches come first, so that whoever is told the end finds it in them. A prefix for
  // which there is no memory is not kept.
  (void)CatchOutOfMemory(kRequestMemory, [&]() -> Status {
    memory.caches().KeepPrefix(sequence.owner, std::move(sequence.tokens),
                               std::move(sequence.cache));
    return {};
  });
  sequence.cache.reset();
  sequence.visual.clear();
  sequence.pictures.clear();
  sequence.chooser.reset();
  sequence.picture_memory = {};
  sequence.active_memory = {};
  sequence.waiting_memory = {};
  {
    const std::lock_guard lock(mutex);
    ++ending;
    if (sequence.admitted) --stats.active;
    if (!answered) {
      ++(timed_out ? stats.timed_out : stats.failed);
    } else if (why == FinishReason::kCancelled) {
      ++stats.cancelled;
    }
  }
  (void)sequence.Tell(event);  // nobody is left to hear of an error
  sequence.callback = nullptr;
  {
    const std::lock_guard lock(mutex);
    --ending;
    unfinished.erase(sequence.id);
  }
  ended.notify_all();
}

}  // namespace fastvlm
