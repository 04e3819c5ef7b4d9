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
      image_cache(options.image_cache_bytes),
      prefix_cache(decoder.config(), kv_type, options.prefix_cache_bytes),
      workspace(decoder, options.max_active + kPrefillChunk, context, model->threads(),
                options.max_active + 1),
      x(static_cast<size_t>(workspace.max_tokens * decoder.config().hidden)),
      logits(static_cast<size_t>(options.max_active * decoder.vocabulary())) {
  // So that the engine's thread, which has nobody to report to, need not allocate for itself.
  active.reserve(static_cast<size_t>(options.max_active));
  segments.reserve(static_cast<size_t>(options.max_active) + 1);
  rows.reserve(static_cast<size_t>(options.max_active) + 1);
}

void Engine::Impl::Run() {
  while (WaitForWork()) {
    ReadInbox();
    std::erase_if(active, IsFinished);
    Admit();
    const auto waiting = std::find_if(active.begin(), active.end(), [](const auto& sequence) {
      return sequence->state == SequenceState::kWaiting;
    });
    const bool prefilling = std::any_of(active.begin(), active.end(), [](const auto& sequence) {
      return sequence->state == SequenceState::kPrefill;
    });
    // Prompts are read one at a time, so that the next one can use what both have in common.
    if (waiting != active.end() && !prefilling) Start(**waiting);
    Step(/*with_prefill=*/true);
  }
}

// False when the engine is ending and there is nothing more to do.
bool Engine::Impl::WaitForWork() {
  std::erase_if(active, IsFinished);
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

void Engine::Impl::Admit() {
  while (!queue.empty() && active.size() < static_cast<size_t>(options.max_active)) {
    active.push_back(std::move(queue.front()));
    queue.pop_front();
    active.back()->admitted = true;
    UpdateStats([](EngineStats& s) { ++s.active; });
  }
}

// Tells the callback the end: an answer with its reason, or an error. The sequence stays in its
// list.
void Engine::Impl::Finish(Sequence& sequence, std::optional<FinishReason> reason, Status error) {
  sequence.state = SequenceState::kFinished;
  EngineEvent event;
  Answer& answer = sequence.answer;
  Status concluded = CatchOutOfMemory(kRequestMemory, [&]() -> Status {
    event.text = sequence.stream.Finish();
    if (reason) {
      answer.text = sequence.stream.text();
      answer.stop_text = sequence.stream.stop_text();
    }
    return {};
  });
  if (reason && !concluded.ok()) {
    reason.reset();
    error = std::move(concluded);
  }
  const bool timed_out = error.code() == StatusCode::kTimedOut;
  if (reason) {
    answer.finish_reason = *reason;
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
    prefix_cache.Keep(sequence.owner, std::move(sequence.tokens), std::move(sequence.cache));
    return {};
  });
  sequence.cache.reset();
  sequence.visual.clear();
  sequence.pictures.clear();
  {
    const std::lock_guard lock(mutex);
    ++ending;
    if (sequence.admitted) --stats.active;
    stats.prefix_cache_bytes = prefix_cache.bytes();
    if (reason == FinishReason::kCancelled) ++stats.cancelled;
    if (!reason) ++(timed_out ? stats.timed_out : stats.failed);
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
