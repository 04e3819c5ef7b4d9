#include "fastvlm/engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/status.h"
#include "runtime/engine_impl.h"

namespace fastvlm {
namespace {

// From now, at most a year: as good as any longer time, and it does not overflow.
std::chrono::steady_clock::time_point After(double ms) {
  const std::chrono::duration<double, std::milli> time(
      std::clamp(ms, 0.0, 365.0 * 24 * 3600 * 1000));
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(time);
}

constexpr int kMaxActive = 256;
constexpr int kMaxTopLogprobs = 20;

Status CheckRange(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return {};
  return Error(StatusCode::kInvalidArgument, "{} is {}, expected {} to {}", name, value, least,
               most);
}

Status CheckRequest(const EngineRequest& request) {
  FASTVLM_RETURN_IF_ERROR(ValidateSampling(request.generate.sampling));
  if (request.generate.max_tokens < 1) {
    return Error(StatusCode::kInvalidArgument, "max_tokens is {}, expected 1 or more",
                 request.generate.max_tokens);
  }
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
  impl_->thread.join();
}

Result<std::unique_ptr<Engine>> Engine::Create(std::shared_ptr<const Model> model,
                                               const EngineOptions& options) {
  const int64_t max_positions = ImplOf(*model).checkpoint.config().decoder.max_positions;
  const int64_t context =
      options.context_tokens == 0 ? model->info().context_tokens : options.context_tokens;
  FASTVLM_RETURN_IF_ERROR(CheckRange("context_tokens", context, 1, max_positions));
  FASTVLM_RETURN_IF_ERROR(CheckRange("max_active", options.max_active, 1, kMaxActive));
  FASTVLM_RETURN_IF_ERROR(CheckRange("max_queued", options.max_queued, 0, 1 << 20));
  constexpr int64_t kMaxBytes = int64_t{1} << 60;
  FASTVLM_RETURN_IF_ERROR(CheckRange("image_cache_bytes", options.image_cache_bytes, 0, kMaxBytes));
  FASTVLM_RETURN_IF_ERROR(
      CheckRange("prefix_cache_bytes", options.prefix_cache_bytes, 0, kMaxBytes));
  auto impl = std::make_unique<Impl>(std::move(model), options, context);
  Impl& engine = *impl;
  engine.thread = std::thread([&engine] { engine.Run(); });
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

// The prompt's tokens, and the names of its pictures.
Status Engine::Impl::SetPrompt(const EngineRequest& request, Sequence& sequence) const {
  std::string text;
  if (request.prompt) {
    if (!request.messages.empty()) {
      return Error(StatusCode::kInvalidArgument, "expected messages or a prompt, found both");
    }
    text = *request.prompt;
  } else {
    FASTVLM_ASSIGN_OR_RETURN(Conversation conversation, ToConversation(request.messages));
    FASTVLM_ASSIGN_OR_RETURN(text, BuildPrompt(conversation.turns));
    sequence.pictures = std::move(conversation.pictures);
  }
  FASTVLM_ASSIGN_OR_RETURN(const EncoderSize size, ResolveSize(model->info(), request.encode));
  sequence.encode = {size.width, size.height, request.encode.fit};
  const std::vector<int32_t> ids = TokenizePrompt(shared.tokenizer, text);
  const int64_t per_picture = shared.model.TokenCount(size.height, size.width);
  const int64_t pictures = std::count(ids.begin(), ids.end(), kImageTokenIndex);
  if (pictures != static_cast<int64_t>(sequence.pictures.size())) {
    return Error(StatusCode::kInvalidArgument,
                 "the prompt has {} \"<image>\" for {} pictures; only messages can show pictures",
                 pictures, sequence.pictures.size());
  }
  // Before anything is made of that size.
  const int64_t tokens = static_cast<int64_t>(ids.size()) + pictures * (per_picture - 1);
  if (tokens < 1 || tokens > context) {
    return Error(StatusCode::kInvalidArgument,
                 "the prompt has {} tokens ({} of them pictures), expected 1 to {}, the size of "
                 "the context; shorten it or lower the resolution",
                 tokens, pictures * per_picture, context);
  }
  sequence.tokens = ExpandPictures(ids, per_picture);
  sequence.prompt_tokens = sequence.answer.prompt_tokens = tokens;
  sequence.answer.image_tokens = pictures * per_picture;
  for (size_t i = 0; i < sequence.pictures.size(); ++i) {
    sequence.tokens.pictures[i].key =
        PictureKey(*sequence.pictures[i], size.width, size.height, request.encode.fit);
  }
  return {};
}

Result<std::unique_ptr<Sequence>> Engine::Impl::Prepare(EngineRequest request) const {
  FASTVLM_RETURN_IF_ERROR(CheckRequest(request));
  // A prompt's answer goes on where the prompt ends, white space included.
  auto sequence = std::make_unique<Sequence>(shared.tokenizer, /*trim=*/!request.prompt,
                                             std::move(request.stop));
  FASTVLM_RETURN_IF_ERROR(SetPrompt(request, *sequence));
  if (!request.generate.json_schema.empty()) {
    FASTVLM_ASSIGN_OR_RETURN(std::shared_ptr<const JsonGrammar> grammar,
                             shared.grammars->Get(request.generate.json_schema));
    sequence->constraint = NewConstraint(std::move(grammar));
  }
  sequence->generate = request.generate;
  sequence->top_logprobs = request.top_logprobs;
  return sequence;
}

Result<int64_t> Engine::Submit(EngineRequest request, EngineCallback callback) {
  Impl& impl = *impl_;
  const Stopwatch since_submit;
  // Asked before the work and again after it.
  const auto check_room = [&]() -> Status {
    if (impl.draining) {
      return Error(StatusCode::kCancelled, "no more requests are taken: the engine is ending");
    }
    if (impl.unfinished - impl.ending >= impl.options.max_active + impl.options.max_queued) {
      ++impl.stats.rejected;
      return Error(StatusCode::kResourceExhausted,
                   "{} requests are under way and {} wait; try again later",
                   impl.options.max_active, impl.options.max_queued);
    }
    return {};
  };
  {
    const std::lock_guard lock(impl.mutex);
    FASTVLM_RETURN_IF_ERROR(check_room());
  }
  const double timeout_ms = request.timeout_ms;
  FASTVLM_ASSIGN_OR_RETURN(std::unique_ptr<Sequence> sequence, impl.Prepare(std::move(request)));
  sequence->callback = std::move(callback);
  sequence->since_submit = since_submit;
  if (timeout_ms > 0) sequence->deadline = After(timeout_ms);
  int64_t id = 0;
  {
    const std::lock_guard lock(impl.mutex);
    FASTVLM_RETURN_IF_ERROR(check_room());
    id = sequence->id = ++impl.last_id;
    ++impl.unfinished;
    ++impl.stats.requests;
    impl.inbox.push_back(std::move(sequence));
  }
  impl.news.notify_one();
  return id;
}

void Engine::Cancel(int64_t id) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->cancelled.push_back(id);
  }
  impl_->news.notify_one();
}

void Engine::Drain(double timeout_ms) {
  std::unique_lock lock(impl_->mutex);
  impl_->draining = true;
  const auto all_ended = [&] { return impl_->unfinished == 0; };
  if (impl_->ended.wait_until(lock, After(timeout_ms), all_ended)) return;
  impl_->cancel_all = true;
  impl_->news.notify_one();
  impl_->ended.wait(lock, all_ended);
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(impl_->mutex);
  EngineStats stats = impl_->stats;
  stats.queued = impl_->unfinished - impl_->ending - stats.active;
  return stats;
}

const Model& Engine::model() const { return *impl_->model; }

}  // namespace fastvlm
