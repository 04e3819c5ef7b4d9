#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/status.h"
#include "fastvlm/benchmark.h"
#include "fastvlm/session.h"
#include "model/kv_cache.h"
#include "runtime/model_impl.h"
#include "runtime/prefill.h"
#include "runtime/token_chooser.h"

namespace fastvlm {
namespace {

constexpr MemoryUse kRunnerMemory = {"a pass of the benchmark", "choose a smaller size"};

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// 0..255, looking random: byte i of the pictures ([height, width, 3]), id i of the prompts.
// benchmarks/peers/noise.py gives other programs the same.
uint8_t Noise(uint32_t i) {
  i *= 0x9E3779B1u;
  i ^= i >> 15;
  i *= 0x85EBCA77u;
  i ^= i >> 13;
  return static_cast<uint8_t>(i >> 24);
}

std::vector<int32_t> Prompt(int64_t tokens) {
  std::vector<int32_t> ids(static_cast<size_t>(tokens));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = Noise(static_cast<uint32_t>(i));
  return ids;
}

Image Picture(int side) {
  Image image{side, side,
              std::vector<uint8_t>(static_cast<size_t>(side) * static_cast<size_t>(side) * 3)};
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = Noise(static_cast<uint32_t>(i));
  }
  return image;
}

}  // namespace

struct BenchmarkRunner::Impl {
  // The cache and activations of one prompt.
  struct Context {
    Context(const Decoder& decoder, int64_t capacity, KvType type, int threads)
        : cache(decoder.config(), capacity, type),
          workspace(NewPrefillWorkspace(decoder, capacity, threads)) {}
    KvCache cache;
    DecoderWorkspace workspace;
    int64_t prompt_tokens = 0;  // of the cache that hold the prompt
  };

  explicit Impl(std::shared_ptr<const Model> model_in)
      : model(std::move(model_in)),
        shared(ImplOf(*model)),
        decoder(shared.model.decoder()),
        x(static_cast<size_t>(decoder.config().hidden)),
        logits(static_cast<size_t>(decoder.vocabulary())) {}

  Result<Pass> Run(BenchmarkKind kind, int size, int depth);
  Result<Pass> Encode(int side);
  Result<Pass> FirstToken(int side);
  Pass Prefill(int tokens);
  Pass Decode(int tokens, int depth);
  Status CheckTokens(int64_t prompt, int64_t decoded) const;
  void Reserve(int64_t tokens);
  void ReadPrompt(int64_t tokens);

  std::shared_ptr<const Model> model;
  const ModelImpl& shared;
  const Decoder& decoder;
  std::optional<Context> context;
  std::optional<Session> session;
  Buffer<float> x;  // embedding, then hidden state, of the last token
  Buffer<float> logits;
};

BenchmarkRunner::BenchmarkRunner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BenchmarkRunner::BenchmarkRunner(BenchmarkRunner&&) noexcept = default;
BenchmarkRunner& BenchmarkRunner::operator=(BenchmarkRunner&&) noexcept = default;
BenchmarkRunner::~BenchmarkRunner() = default;

Result<BenchmarkRunner> BenchmarkRunner::Create(std::shared_ptr<const Model> model) {
  return CatchOutOfMemory(kRunnerMemory, [&]() -> Result<BenchmarkRunner> {
    return BenchmarkRunner(std::make_unique<Impl>(model));
  });
}

Status BenchmarkRunner::Impl::CheckTokens(int64_t prompt, int64_t decoded) const {
  const int64_t positions = shared.checkpoint.config().decoder.max_positions;
  if (prompt < 0 || decoded < 0 || prompt + decoded < 1 || prompt + decoded > positions) {
    return Error(StatusCode::kInvalidArgument, "{} tokens: expected 1 to {}", prompt + decoded,
                 positions);
  }
  // The prompt's ids are bytes.
  if (decoder.vocabulary() < 256) {
    return Error(StatusCode::kUnsupported, "the model has {} tokens, expected 256 or more",
                 decoder.vocabulary());
  }
  return {};
}

void BenchmarkRunner::Impl::Reserve(int64_t tokens) {
  if (!context || context->cache.capacity() < tokens) {
    context.emplace(decoder, tokens, CacheTypeOf(CacheType::kAuto, model->info().precision),
                    shared.pool.threads());
  }
}

void BenchmarkRunner::Impl::ReadPrompt(int64_t tokens) {
  context->cache.Truncate(0);
  Buffer<float> embeddings = EmbedPrompt(decoder, Prompt(tokens), {});
  const float* last = fastvlm::Prefill(decoder, embeddings.data(), tokens, context->cache,
                                       context->workspace, shared.pool);
  std::copy_n(last, x.size(), x.data());
  context->prompt_tokens = tokens;
}

Result<BenchmarkRunner::Pass> BenchmarkRunner::Impl::Encode(int side) {
  const Image image = Picture(side);
  const EncodeOptions options{.width = side, .height = side};
  const Clock::time_point start = Clock::now();
  FASTVLM_ASSIGN_OR_RETURN(Matrix tokens, model->EncodeVisualTokens(image, options));
  return Pass{MillisecondsSince(start), std::move(tokens)};
}

Result<BenchmarkRunner::Pass> BenchmarkRunner::Impl::FirstToken(int side) {
  if (!session) {
    FASTVLM_ASSIGN_OR_RETURN(Session created, Session::Create(model));
    session.emplace(std::move(created));
  }
  UserTurn turn;
  turn.text = "What are these?";
  turn.images.push_back(Picture(side));
  turn.encode = {.width = side, .height = side};
  GenerateOptions generate;
  generate.max_tokens = 1;
  session->Reset();
  const Clock::time_point start = Clock::now();
  FASTVLM_ASSIGN_OR_RETURN(const Answer answer, session->Ask(turn, generate));
  const double ms = MillisecondsSince(start);
  const float id = answer.token_ids.empty() ? -1 : static_cast<float>(answer.token_ids[0]);
  return Pass{ms, {1, 2, {static_cast<float>(answer.prompt_tokens), id}}};
}

BenchmarkRunner::Pass BenchmarkRunner::Impl::Prefill(int tokens) {
  const ComputeLock lock(shared.compute_mutex);
  Reserve(tokens);
  const Clock::time_point start = Clock::now();
  ReadPrompt(tokens);
  decoder.Logits(x.data(), logits.data(), context->workspace, shared.pool);
  const double ms = MillisecondsSince(start);
  return {ms, {1, decoder.vocabulary(), {logits.begin(), logits.end()}}};
}

BenchmarkRunner::Pass BenchmarkRunner::Impl::Decode(int tokens, int depth) {
  const ComputeLock lock(shared.compute_mutex);
  Reserve(int64_t{depth} + tokens);
  if (context->prompt_tokens < depth) ReadPrompt(depth);
  context->cache.Truncate(depth);
  context->prompt_tokens = depth;
  Matrix ids{1, tokens, {}};
  int32_t token = Noise(static_cast<uint32_t>(depth));
  TokenChooser chooser(SamplingOptions{.temperature = 0}, decoder.vocabulary());
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < tokens; ++i) {
    decoder.Embed(&token, 1, x.data());
    decoder.Forward(x.data(), 1, context->cache, context->workspace, shared.pool);
    decoder.Logits(x.data(), logits.data(), context->workspace, shared.pool);
    token = std::max(chooser.Choose({logits.data(), logits.size()}), 0);
    ids.values.push_back(static_cast<float>(token));
  }
  return {MillisecondsSince(start), std::move(ids)};
}

Result<BenchmarkRunner::Pass> BenchmarkRunner::Run(BenchmarkKind kind, int size, int depth) {
  return CatchOutOfMemory(kRunnerMemory, [&] { return impl_->Run(kind, size, depth); });
}

Result<BenchmarkRunner::Pass> BenchmarkRunner::Impl::Run(BenchmarkKind kind, int size, int depth) {
  if (kind == BenchmarkKind::kEncode || kind == BenchmarkKind::kFirstToken) {
    // 0 would stand for the model's own size.
    const EncodeOptions options{.width = std::max(1, size), .height = std::max(1, size)};
    FASTVLM_RETURN_IF_ERROR(ResolveSize(model->info(), options).status());
    return kind == BenchmarkKind::kEncode ? Encode(size) : FirstToken(size);
  }
  if (kind == BenchmarkKind::kPrefill) {
    FASTVLM_RETURN_IF_ERROR(CheckTokens(size, 0));
    return Prefill(size);
  }
  if (size < 1) return Error(StatusCode::kInvalidArgument, "{} tokens: expected 1 or more", size);
  FASTVLM_RETURN_IF_ERROR(CheckTokens(depth, size));
  return Decode(size, depth);
}

}  // namespace fastvlm
