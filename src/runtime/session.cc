#include "fastvlm/session.h"

#include <algorithm>
#include <utility>

#include "base/buffer.h"
#include "base/status.h"
#include "base/stopwatch.h"
#include "model/kv_cache.h"
#include "runtime/answer_stream.h"
#include "runtime/model_impl.h"
#include "runtime/prefill.h"
#include "runtime/token_chooser.h"
#include "text/chat_prompt.h"

namespace fastvlm {
namespace {

constexpr MemoryUse kContextMemory = {
    "the keys and values of the conversation and the activations of the decoder",
    "lower context_tokens, or choose a cache of fewer bits"};
constexpr MemoryUse kPromptMemory = {"the prompt and its answer",
                                     "shorten the prompt or lower the resolution"};

}  // namespace

struct Session::Impl {
  Impl(std::shared_ptr<const Model> model_in, int64_t context_tokens, CacheType cache_type)
      : model(std::move(model_in)),
        decoder(ImplOf(*model).model.decoder()),
        cache(decoder.config(), context_tokens, CacheTypeOf(cache_type, model->info().precision)),
        workspace(NewPrefillWorkspace(decoder, context_tokens, model->threads())),
        logits(static_cast<size_t>(decoder.vocabulary())),
        state(static_cast<size_t>(decoder.config().hidden)) {}

  const ModelImpl& shared() const { return ImplOf(*model); }
  int64_t used() const { return cache.length() + static_cast<int64_t>(pending.size()); }

  class Turn;

  Result<Answer> Ask(const UserTurn& turn, const GenerateOptions& options, const StreamFn& stream,
                     const AskProgressFn& progress);
  Result<std::vector<int32_t>> Tokenize(const UserTurn& turn) const;
  Result<Buffer<float>> Encode(const UserTurn& turn, const EncoderSize& size,
                               const AskProgressFn& progress, Timings& timings) const;
  void ReadPrompt(const std::vector<int32_t>& prompt, const Buffer<float>& visual,
                  const AskProgressFn& progress);
  Status Generate(const GenerateOptions& options, TokenChooser& chooser, const StreamFn& stream,
                  const Stopwatch& since_call, Answer& answer);
  void Decode(int32_t token);
  Result<int32_t> ChooseToken(TokenChooser& chooser);

  std::shared_ptr<const Model> model;
  const Decoder& decoder;
  KvCache cache;
  DecoderWorkspace workspace;
  Buffer<float> logits;
  Buffer<float> state;           // [hidden]: embedding of the last token, then its hidden state
  std::vector<int32_t> pending;  // produced, but not yet seen by the decoder
  bool first_turn = true;
  bool asking = false;
};

// The call of Ask under way. Unless it is committed, its end leaves the session as its beginning
// found it.
class Session::Impl::Turn {
 public:
  explicit Turn(Impl& session)
      : session_(session), length_(session.cache.length()), pending_(session.pending) {
    session_.asking = true;
  }
  ~Turn() {
    session_.asking = false;
    if (committed_) return;
    session_.cache.Truncate(length_);
    session_.pending.swap(pending_);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  void Commit() {
    committed_ = true;
    session_.first_turn = false;
  }

 private:
  Impl& session_;
  const int64_t length_;
  std::vector<int32_t> pending_;
  bool committed_ = false;
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::Create(std::shared_ptr<const Model> model, const SessionOptions& options) {
  return CatchOutOfMemory(kContextMemory, [&]() -> Result<Session> {
    const int64_t max_positions = ImplOf(*model).checkpoint.config().decoder.max_positions;
    const int64_t context =
        options.context_tokens == 0 ? model->info().context_tokens : options.context_tokens;
    if (context < 1 || context > max_positions) {
      return Error(StatusCode::kInvalidArgument, "context_tokens is {}, expected 1 to {}", context,
                   max_positions);
    }
    return Session(std::make_unique<Impl>(model, context, options.cache));
  });
}

int64_t Session::context_used() const { return impl_->used(); }

void Session::Reset() {
  if (impl_->asking) return;
  impl_->cache.Truncate(0);
  impl_->pending.clear();
  impl_->first_turn = true;
}

Result<Answer> Session::Ask(const UserTurn& turn, const GenerateOptions& options,
                            const StreamFn& stream, const AskProgressFn& progress) {
  return CatchOutOfMemory(kPromptMemory, [&]() -> Result<Answer> {
    if (impl_->asking) {
      return Error(StatusCode::kInvalidArgument,
                   "Ask was called from inside a callback of the same session; use another one");
    }
    Impl::Turn transaction(*impl_);
    Result<Answer> answer = impl_->Ask(turn, options, stream, progress);
    if (answer.ok()) transaction.Commit();
    return answer;
  });
}

Result<Answer> Session::Impl::Ask(const UserTurn& turn, const GenerateOptions& options,
                                  const StreamFn& stream, const AskProgressFn& progress) {
  const Stopwatch since_call;
  FASTVLM_RETURN_IF_ERROR(ValidateGenerate(options));
  FASTVLM_ASSIGN_OR_RETURN(std::unique_ptr<TokenConstraint> constraint,
                           shared().grammars->Constraint(options.json_schema));
  FASTVLM_ASSIGN_OR_RETURN(const EncoderSize size, ResolveSize(model->info(), turn.encode));
  FASTVLM_ASSIGN_OR_RETURN(const std::vector<int32_t> prompt, Tokenize(turn));

  Answer answer;
  const int64_t tokens_per_image = shared().model.TokenCount(size.height, size.width);
  const int64_t images_in_prompt = std::count(prompt.begin(), prompt.end(), kImageTokenIndex);
  answer.prompt_tokens =
      static_cast<int64_t>(prompt.size()) + images_in_prompt * (tokens_per_image - 1);
  answer.image_tokens = tokens_per_image * static_cast<int64_t>(turn.images.size());
  if (used() + answer.prompt_tokens > cache.capacity()) {
    return Error(
        StatusCode::kResourceExhausted,
        "the prompt needs {} tokens ({} of them images) after {} already in the conversation, "
        "but the context holds {}; shorten it or lower the resolution",
        answer.prompt_tokens, answer.image_tokens, used(), cache.capacity());
  }

  FASTVLM_ASSIGN_OR_RETURN(const Buffer<float> visual,
                           Encode(turn, size, progress, answer.timings));

  const Stopwatch watch;
  ReadPrompt(prompt, visual, progress);
  answer.timings.prefill_ms = watch.Milliseconds();
  TokenChooser chooser(options.sampling, decoder.vocabulary(), shared().banned_ids,
                       std::move(constraint));
  FASTVLM_RETURN_IF_ERROR(Generate(options, chooser, stream, since_call, answer));
  return answer;
}

// Ids of the turn, kImageTokenIndex for each image.
Result<std::vector<int32_t>> Session::Impl::Tokenize(const UserTurn& turn) const {
  const ChatTurn chat_turn{ChatRole::kUser, turn.text, static_cast<int>(turn.images.size())};
  FASTVLM_ASSIGN_OR_RETURN(const std::string text,
                           first_turn ? BuildPrompt({&chat_turn, 1}) : ContinuePrompt(chat_turn));
  return TokenizePrompt(shared().tokenizer, text);
}

// Visual tokens of all images: [images * tokens_per_image, hidden].
Result<Buffer<float>> Session::Impl::Encode(const UserTurn& turn, const EncoderSize& size,
                                            const AskProgressFn& progress, Timings& timings) const {
  const int64_t image_floats =
      shared().model.TokenCount(size.height, size.width) * decoder.config().hidden;
  Buffer<float> visual(turn.images.size() * static_cast<size_t>(image_floats));
  const double count = static_cast<double>(turn.images.size());
  for (size_t i = 0; i < turn.images.size(); ++i) {
    EncodeProgressFn report;
    if (progress) {
      report = [&](double fraction) {
        progress(AskPhase::kEncode, (static_cast<double>(i) + fraction) / count);
        return true;
      };
    }
    ComputeLock lock(shared().compute_mutex);
    FASTVLM_ASSIGN_OR_RETURN(
        const Buffer<float> tokens,
        shared().VisualTokens(turn.images[i], size, turn.encode.fit, lock, report, &timings));
    std::copy(tokens.begin(), tokens.end(), visual.data() + static_cast<int64_t>(i) * image_floats);
  }
  return visual;
}

// Reads the tokens left over from the answer before, then the prompt with the images in their
// places: `logits` become those of the first token of the answer.
void Session::Impl::ReadPrompt(const std::vector<int32_t>& prompt, const Buffer<float>& visual,
                               const AskProgressFn& progress) {
  std::vector<int32_t> ids = pending;
  ids.insert(ids.end(), prompt.begin(), prompt.end());
  Buffer<float> x = EmbedPrompt(decoder, ids, {visual.data(), visual.size()});
  const int64_t tokens = static_cast<int64_t>(x.size()) / decoder.config().hidden;
  ComputeLock lock(shared().compute_mutex, std::defer_lock);
  // Between two chunks others may compute, and the callback may use the model.
  const auto take_turn = [&](double fraction) {
    if (lock.owns_lock()) lock.unlock();
    if (progress) progress(AskPhase::kPrefill, fraction);
    lock.lock();
  };
  const float* last =
      Prefill(decoder, x.data(), tokens, cache, workspace, shared().pool, take_turn);
  decoder.Logits(last, logits.data(), workspace, shared().pool);
  lock.unlock();
  if (progress) progress(AskPhase::kPrefill, 1);
  pending.clear();
}

// From a token to the logits after it.
void Session::Impl::Decode(int32_t token) {
  decoder.Embed(&token, 1, state.data());
  const ComputeLock lock(shared().compute_mutex);
  decoder.Forward(state.data(), 1, cache, workspace, shared().pool);
  decoder.Logits(state.data(), logits.data(), workspace, shared().pool);
}

Result<int32_t> Session::Impl::ChooseToken(TokenChooser& chooser) {
  const int32_t token = chooser.Choose({logits.data(), logits.size()});
  if (token < 0) return NoFiniteLogit(model->info().directory);
  return token;
}

// `logits` are those after the prompt.
Status Session::Impl::Generate(const GenerateOptions& options, TokenChooser& chooser,
                               const StreamFn& stream, const Stopwatch& since_call,
                               Answer& answer) {
  const ModelImpl& impl = shared();
  AnswerStream output(impl.tokenizer, /*trim=*/true);
  // Room for all of it at once, so that tokens allocate nothing.
  const auto most = static_cast<size_t>(
      std::min<int64_t>(options.max_tokens, cache.capacity() - cache.length() + 1));
  answer.token_ids.reserve(most);
  output.Reserve(most);
  const auto show = [&](std::string_view piece) {
    return piece.empty() || !stream || stream(piece);
  };
  FASTVLM_ASSIGN_OR_RETURN(int32_t token, ChooseToken(chooser));
  answer.timings.ttft_ms = since_call.Milliseconds();
  const Stopwatch watch;
  while (true) {
    answer.token_ids.push_back(token);
    if (impl.IsEos(token)) {
      answer.finish_reason = FinishReason::kStop;
      break;
    }
    chooser.Accept(token);
    const bool wanted = show(output.Add(token));
    const bool full = answer.token_ids.size() >= static_cast<size_t>(options.max_tokens) ||
                      cache.length() == cache.capacity();
    if (!wanted || full) {
      answer.finish_reason = wanted ? FinishReason::kLength : FinishReason::kCancelled;
      pending.push_back(token);
      break;
    }
    Decode(token);
    FASTVLM_ASSIGN_OR_RETURN(token, ChooseToken(chooser));
  }
  show(output.Finish());
  Timings& timings = answer.timings;
  timings.decode_ms = watch.Milliseconds();
  if (answer.token_ids.size() > 1) {
    timings.decode_tokens_per_s =
        static_cast<double>(answer.token_ids.size() - 1) * 1000 / timings.decode_ms;
  }
  answer.text = output.text();
  return {};
}

}  // namespace fastvlm
