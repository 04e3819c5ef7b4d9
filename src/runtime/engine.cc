#include "fastvlm/engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/status.h"
#include "runtime/clock.h"
#include "runtime/engine_impl.h"

namespace fastvlm {
namespace {

// So long, but at most a year: that is as good as any longer time, and no sum with it overflows.
TimePoint::duration Milliseconds(double ms) {
  const std::chrono::duration<double, std::milli> time(
      std::clamp(ms, 0.0, 365.0 * 24 * 3600 * 1000));
  return std::chrono::duration_cast<TimePoint::duration>(time);
}

constexpr int kMaxActive = 256;
constexpr int kMaxTopLogprobs = 20;

Status CheckRange(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return {};
  return Error(StatusCode::kInvalidArgument, "{} is {}, expected {} to {}", name, value, least,
               most);
}

Status CheckRequest(const EngineRequest& request) {
  FASTVLM_RETURN_IF_ERROR(ValidateGenerate(request.generate));
  FASTVLM_RETURN_IF_ERROR(CheckRange("top_logprobs", request.top_logprobs, -1, kMaxTopLogprobs));
  for (const std::string& stop : request.stop) {
    if (stop.empty()) {
      return Error(StatusCode::kInvalidArgument, "a stop text is empty, expected some text");
    }
  }
  if (!(request.timeout_ms >= 0)) {
    return Error(StatusCode::kInvalidArgument, "timeout_ms is {}, expected 0 (none) or more",
                 request.timeout_ms);
  }
  return {};
}

}  // namespace

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Engine::~Engine() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->draining = impl_->cancel_all = impl_->stop = true;
  }
  impl_->news.notify_all();
  if (impl_->thread.joinable()) impl_->thread.join();
}

Result<std::unique_ptr<Engine>> Engine::Create(std::shared_ptr<const Model> model,
                                               const EngineOptions& options) {
  constexpr MemoryUse kUse = {"the activations of the decoder",
                              "lower max_active or context_tokens"};
  return CatchOutOfMemory(kUse, [&]() -> Result<std::unique_ptr<Engine>> {
    const int64_t max_positions = ImplOf(*model).checkpoint.config().decoder.max_positions;
    const int64_t context =
        options.context_tokens == 0 ? model->info().context_tokens : options.context_tokens;
    FASTVLM_RETURN_IF_ERROR(CheckRange("context_tokens", context, 1, max_positions));
    FASTVLM_RETURN_IF_ERROR(CheckRange("max_active", options.max_active, 1, kMaxActive));
    FASTVLM_RETURN_IF_ERROR(CheckRange("max_queued", options.max_queued, 0, 1 << 20));
    constexpr int64_t kMaxBytes = int64_t{1} << 60;
    FASTVLM_RETURN_IF_ERROR(
        CheckRange("image_cache_bytes", options.image_cache_bytes, 0, kMaxBytes));
    FASTVLM_RETURN_IF_ERROR(
        CheckRange("prefix_cache_bytes", options.prefix_cache_bytes, 0, kMaxBytes));
    FASTVLM_RETURN_IF_ERROR(CheckRange("memory_bytes", options.memory_bytes, 0, kMaxBytes));
    // The engine first: once there is a thread, only its destructor may end it.
    std::unique_ptr<Engine> engine(new Engine(std::make_unique<Impl>(model, options, context)));
    const int64_t workspace = engine->impl_->WorkspaceBytes();
    if (options.memory_bytes > 0 && workspace > options.memory_bytes) {
      return Error(StatusCode::kInvalidArgument,
                   "memory_bytes is {}, but the engine's activations alone take {}; raise it, or "
                   "lower max_active or context_tokens",
                   options.memory_bytes, workspace);
    }
    engine->impl_->thread = std::thread([&impl = *engine->impl_] { impl.Run(); });
    return engine;
  });
}

Result<std::unique_ptr<Sequence>> Engine::Impl::Prepare(EngineRequest request) {
  FASTVLM_RETURN_IF_ERROR(CheckRequest(request));
  // The answer to a plain prompt continues its text, so white space at its beginning counts.
  auto sequence = std::make_unique<Sequence>(shared.tokenizer, /*trim=*/!request.prompt,
                                             std::move(request.stop));
  FASTVLM_RETURN_IF_ERROR(SetPrompt(request, *sequence));
  FASTVLM_ASSIGN_OR_RETURN(
      sequence->constraint,
      shared.grammars->Constraint(request.generate.json_schema, std::move(request.unwanted)));
  sequence->owner = request.owner;
  sequence->generate = request.generate;
  sequence->top_logprobs = request.top_logprobs;
  FASTVLM_RETURN_IF_ERROR(ClaimWaiting(*sequence));
  return sequence;
}

Result<int64_t> Engine::Submit(EngineRequest request, EngineCallback callback) {
  return CatchOutOfMemory(kRequestMemory,
                          [&] { return impl_->Submit(std::move(request), std::move(callback)); });
}

Result<int64_t> Engine::CountTokens(const EngineRequest& request) const {
  return CatchOutOfMemory(kRequestMemory, [&]() -> Result<int64_t> {
    Sequence sequence(impl_->shared.tokenizer, /*trim=*/true, {});
    FASTVLM_RETURN_IF_ERROR(impl_->SetPrompt(request, sequence));
    return sequence.prompt_tokens;
  });
}

// Of the engine; the caller holds the mutex.
Status Engine::Impl::CheckRoom() {
  if (draining) {
    return Error(StatusCode::kCancelled, "no more requests are taken: the engine is ending");
  }
  const int64_t here = static_cast<int64_t>(unfinished.size()) - ending;
  if (here >= options.max_active + options.max_queued) {
    ++stats.rejected;
    return Error(StatusCode::kResourceExhausted,
                 "{} requests are under way and {} wait; try again later", options.max_active,
                 options.max_queued);
  }
  return {};
}

Result<int64_t> Engine::Impl::Submit(EngineRequest request, EngineCallback callback) {
  const Stopwatch since_submit;
  {
    const std::lock_guard lock(mutex);
    FASTVLM_RETURN_IF_ERROR(CheckRoom());
  }
  const double timeout_ms = request.timeout_ms;
  Sequences arriving;  // of one: what enters the inbox whole
  FASTVLM_ASSIGN_OR_RETURN(arriving.emplace_back(), Prepare(std::move(request)));
  Sequence& sequence = *arriving.front();
  sequence.callback = std::move(callback);
  sequence.since_submit = since_submit;
  if (timeout_ms > 0) sequence.deadline = Now() + Milliseconds(timeout_ms);
  int64_t id = 0;
  {
    const std::lock_guard lock(mutex);
    FASTVLM_RETURN_IF_ERROR(CheckRoom());  // again: preparing took a while
    id = last_id + 1;
    unfinished.emplace(id, &sequence);
    sequence.id = last_id = id;
    ++stats.requests;
    inbox.splice(inbox.end(), arriving);
  }
  news.notify_one();
  return id;
}

void Engine::Cancel(int64_t id) {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->unfinished.find(id);
  if (found != impl_->unfinished.end()) found->second->cancelled = true;
}

void Engine::Drain(double timeout_ms) {
  std::unique_lock lock(impl_->mutex);
  impl_->draining = true;
  if (std::this_thread::get_id() == impl_->thread.get_id()) return;
  const auto all_ended = [&] { return impl_->unfinished.empty(); };
  if (timeout_ms > 0 && impl_->ended.wait_for(lock, Milliseconds(timeout_ms), all_ended)) return;
  impl_->cancel_all = true;
  impl_->ended.wait(lock, all_ended);
}

EngineStats Engine::stats() const {
  EngineMemory::Caches caches = impl_->memory.caches();
  const int64_t pictures = caches.picture_bytes();
  const int64_t prefixes = caches.prefix_bytes();
  caches.lock.unlock();
  const std::lock_guard lock(impl_->mutex);
  EngineStats stats = impl_->stats;
  stats.image_cache_bytes = pictures;
  stats.prefix_cache_bytes = prefixes;
  stats.memory_bytes = impl_->memory.bytes();
  stats.queued = static_cast<int64_t>(impl_->unfinished.size()) - impl_->ending - stats.active;
  return stats;
}

int64_t Engine::workspace_bytes() const { return impl_->WorkspaceBytes(); }

const Model& Engine::model() const { return *impl_->model; }

}  // namespace fastvlm
