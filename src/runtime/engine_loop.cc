#include <algorithm>

#include "base/status.h"
#include "runtime/engine_impl.h"

namespace fastvlm {
namespace {

// The most rows of a prompt in one pass: enough to pay for reading the weights, few enough that the
// activations stay small.
constexpr int64_t kMaxPrefillRows = 256;

bool IsFinished(const std::unique_ptr<Sequence>& sequence) {
  return sequence->state == SequenceState::kFinished;
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
      workspace(decoder, options.max_active + kMaxPrefillRows, context, model->threads(),
                options.max_active + 1),
      x(static_cast<size_t>(workspace.max_tokens * decoder.config().hidden)),
      logits(static_cast<size_t>(options.max_active * decoder.vocabulary())) {}

void Engine::Impl::Run() {
  while (WaitForWork()) {
    const std::lock_guard compute(shared.compute_mutex);
    ReadInbox();
    std::erase_if(active, IsFinished);
    Admit();
    const auto waiting = std::find_if(active.begin(), active.end(), [](const auto& sequence) {
      return sequence->state == SequenceState::kWaiting;
    });
    const bool prefilling = std::any_of(active.begin(), active.end(), [](const auto& sequence) {
      return sequence->state == SequenceState::kPrefill;
    });
    // One prompt at a time, so that the next one can use what it has in common with it.
    if (waiting != active.end() && !prefilling) Start(**waiting);
    Step(/*with_prefill=*/true);
  }
}

// False when there is nothing more to do, ever.
bool Engine::Impl::WaitForWork() {
  std::erase_if(active, IsFinished);
  if (!active.empty() || !queue.empty()) return true;
  std::unique_lock lock(mutex);
  news.wait(lock, [&] { return stop || !inbox.empty() || !cancelled.empty(); });
  return !stop || !inbox.empty();
}

void Engine::Impl::ReadInbox() {
  std::vector<int64_t> ids;
  bool all = false;
  {
    const std::lock_guard lock(mutex);
    std::move(inbox.begin(), inbox.end(), std::back_inserter(queue));
    inbox.clear();
    ids.swap(cancelled);
    all = cancel_all;
  }
  const auto now = std::chrono::steady_clock::now();
  const auto check = [&](Sequence& sequence) {
    if (sequence.state == SequenceState::kFinished) return;
    if (all || std::find(ids.begin(), ids.end(), sequence.id) != ids.end()) {
      Finish(sequence, FinishReason::kCancelled, {});
    } else if (sequence.deadline && now >= *sequence.deadline) {
      Finish(sequence, std::nullopt,
             Error(StatusCode::kTimedOut,
                   "the request timed out after {:.0f} ms, with {} tokens of its answer",
                   sequence.since_submit.Milliseconds(), sequence.answer.token_ids.size()));
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

// Tells the end: an answer with its reason, or an error. The sequence stays where it is.
void Engine::Impl::Finish(Sequence& sequence, std::optional<FinishReason> reason,
                          const Status& error) {
  sequence.state = SequenceState::kFinished;
  EngineEvent event;
  Answer& answer = sequence.answer;
  event.text = sequence.stream.Finish();
  if (reason) {
    answer.finish_reason = *reason;
    answer.text = sequence.stream.text();
    const size_t tokens = answer.token_ids.size();
    if (tokens > 0) answer.timings.decode_ms = sequence.since_phase.Milliseconds();
    if (tokens > 1) {
      answer.timings.decode_tokens_per_s =
          static_cast<double>(tokens - 1) * 1000 / answer.timings.decode_ms;
    }
    event.answer = &answer;
  } else {
    event.status = error;
  }
  // Whoever hears of the end finds it in the numbers and the caches.
  prefix_cache.Keep(std::move(sequence.tokens), std::move(sequence.cache));
  sequence.visual.clear();
  sequence.pictures.clear();
  {
    const std::lock_guard lock(mutex);
    ++ending;
    if (sequence.admitted) --stats.active;
    stats.prefix_cache_bytes = prefix_cache.bytes();
    if (reason == FinishReason::kCancelled) ++stats.cancelled;
    if (!reason) ++(error.code() == StatusCode::kTimedOut ? stats.timed_out : stats.failed);
  }
  if (sequence.callback) sequence.callback(event);
  sequence.callback = nullptr;
  {
    const std::lock_guard lock(mutex);
    --ending;
    --unfinished;
  }
  ended.notify_all();
}

}  // namespace fastvlm
