#include "fastvlm/benchmark.h"

#include <algorithm>
#include <chrono>
#include <functional>

#include "base/status.h"
#include "fastvlm/session.h"
#include "measure/machine_peak.h"
#include "model/kv_cache.h"
#include "runtime/model_impl.h"

namespace fastvlm {
namespace {

constexpr int64_t kPrefillChunk = 256;  // as a session has it
constexpr int kBatchDepth = 256;        // about a picture and a question
constexpr int kMaxBatch = 256;          // as an engine has it

// Values in [-1, 1], the same every time.
Buffer<float> Noise(int64_t size) {
  Buffer<float> values(static_cast<size_t>(size));
  uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525 + 1013904223;
    value = static_cast<float>(state >> 8) * 0x1p-23f - 1;
  }
  return values;
}

double Milliseconds(const std::function<void()>& pass) {
  const auto begin = std::chrono::steady_clock::now();
  pass();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// Runs passes over the parts of a model. A pass may be repeated any number of times.
class Benchmark {
 public:
  Benchmark(const std::shared_ptr<const Model>& model, const BenchmarkOptions& options,
            const BenchmarkProgressFn& progress)
      : model_(model), impl_(ImplOf(*model)), options_(options), progress_(progress) {}

  Result<std::vector<BenchmarkCase>> Run();

 private:
  using Pass = std::function<void()>;

  void Measure(BenchmarkKind kind, int size, int64_t tokens, const Pass& pass);
  void Encode(int side);
  void Prefill(int tokens);
  void Decode(BenchmarkKind kind, int sequences, int depth);
  Status FirstToken();

  const std::shared_ptr<const Model>& model_;
  const ModelImpl& impl_;
  const BenchmarkOptions& options_;
  const BenchmarkProgressFn& progress_;
  size_t planned_ = 0;
  std::vector<BenchmarkCase> cases_;
};

void Benchmark::Measure(BenchmarkKind kind, int size, int64_t tokens, const Pass& pass) {
  BenchmarkCase result;
  result.kind = kind;
  result.size = size;
  result.tokens = tokens;
  const bool decoding = kind == BenchmarkKind::kDecode || kind == BenchmarkKind::kBatch;
  const double share = decoding ? options_.decode_tokens : 1;

  // The pass that warms up also counts the work, which is the same each time.
  Profile counts;
  impl_.pool.set_profile(&counts);
  pass();
  impl_.pool.set_profile(nullptr);
  for (const ProfileEntry& entry : counts.entries()) {
    result.f32_operations += entry.work.f32_operations / share;
    result.int8_operations += entry.work.int8_operations / share;
    result.bf16_operations += entry.work.bf16_operations / share;
    result.f16_operations += entry.work.f16_operations / share;
  }
  std::vector<double> times;
  for (int i = 0; i < options_.repetitions; ++i) times.push_back(Milliseconds(pass) / share);
  result.median_ms = Median(times);
  result.fastest_ms = *std::min_element(times.begin(), times.end());
  if (decoding) {
    result.weight_bytes = static_cast<double>(impl_.model.decoder().bytes());
  }
  if (options_.profile) {
    Profile watched;
    impl_.pool.set_profile(&watched);
    pass();
    impl_.pool.set_profile(nullptr);
    for (const ProfileEntry& entry : watched.entries()) {
      result.operations.push_back({entry.name, entry.calls, entry.seconds,
                                   entry.work.f32_operations, entry.work.int8_operations,
                                   entry.work.bf16_operations, entry.work.f16_operations,
                                   entry.work.bytes});
    }
  }
  cases_.push_back(std::move(result));
  if (progress_) {
    progress_(static_cast<double>(cases_.size()) / static_cast<double>(planned_));
  }
}

void Benchmark::Encode(int side) {
  const VisionEncoder& encoder = impl_.model.encoder();
  const int64_t tokens = impl_.model.TokenCount(side, side);
  Buffer<float> pixels = Noise(int64_t{3} * side * side);
  for (float& value : pixels) value = 0.5f + 0.5f * value;
  Buffer<float> features(static_cast<size_t>(tokens * encoder.feature_channels()));
  Buffer<float> visual(static_cast<size_t>(tokens * impl_.model.projector().hidden()));
  Measure(BenchmarkKind::kEncode, side, tokens, [&] {
    encoder.Forward(pixels.data(), side, side, features.data(), impl_.vision_workspace, impl_.pool);
    impl_.model.projector().Forward(features.data(), tokens, visual.data(), impl_.pool);
  });
}

void Benchmark::Prefill(int tokens) {
  const Decoder& decoder = impl_.model.decoder();
  const int64_t hidden = decoder.config().hidden;
  KvCache cache(decoder.config(), tokens, CacheTypeOf(CacheType::kAuto, impl_.info.precision));
  DecoderWorkspace workspace(decoder, std::min<int64_t>(kPrefillChunk, tokens), tokens,
                             impl_.pool.threads());
  const Buffer<float> prompt = Noise(tokens * hidden);
  Buffer<float> x(prompt.size());
  Buffer<float> logits(static_cast<size_t>(decoder.vocabulary()));
  Measure(BenchmarkKind::kPrefill, tokens, tokens, [&] {
    std::copy(prompt.begin(), prompt.end(), x.begin());
    cache.Truncate(0);
    for (int64_t start = 0; start < tokens; start += workspace.max_tokens) {
      decoder.Forward(x.data() + start * hidden, std::min(workspace.max_tokens, tokens - start),
                      cache, workspace, impl_.pool);
    }
    decoder.Logits(x.data() + (tokens - 1) * hidden, logits.data(), workspace, impl_.pool);
  });
}

void Benchmark::Decode(BenchmarkKind kind, int sequences, int depth) {
  const Decoder& decoder = impl_.model.decoder();
  const DecoderConfig& config = decoder.config();
  const int64_t capacity = depth + options_.decode_tokens;
  const int64_t kv_size = config.kv_heads * config.head_dim;
  const Buffer<float> past = Noise(std::max<int64_t>(1, depth) * kv_size);
  std::vector<KvCache> caches;
  std::vector<DecoderSegment> segments;
  caches.reserve(static_cast<size_t>(sequences));
  for (int i = 0; i < sequences; ++i) {
    caches.emplace_back(config, capacity, CacheTypeOf(CacheType::kAuto, impl_.info.precision));
    for (int64_t layer = 0; layer < config.layers; ++layer) {
      caches.back()
          .layer(static_cast<size_t>(layer))
          .Store(past.data(), kv_size, past.data(), kv_size, depth, 0);
    }
    segments.push_back({&caches.back(), 1});
  }
  DecoderWorkspace workspace(decoder, sequences, capacity, impl_.pool.threads(), sequences);
  Buffer<float> x(static_cast<size_t>(sequences * config.hidden));
  const int64_t vocabulary = decoder.vocabulary();
  Buffer<float> logits(static_cast<size_t>(sequences * vocabulary));
  std::vector<int32_t> tokens(static_cast<size_t>(sequences));
  Measure(kind, kind == BenchmarkKind::kDecode ? depth : sequences,
          int64_t{options_.decode_tokens} * sequences, [&] {
            for (KvCache& cache : caches) cache.Truncate(depth);
            for (int i = 0; i < sequences; ++i) {
              tokens[static_cast<size_t>(i)] = i % static_cast<int32_t>(vocabulary);
            }
            for (int step = 0; step < options_.decode_tokens; ++step) {
              decoder.Embed(tokens.data(), sequences, x.data());
              decoder.Forward(x.data(), segments, workspace, impl_.pool);
              decoder.Logits(x.data(), sequences, logits.data(), workspace, impl_.pool);
              impl_.pool.ParallelFor(sequences, [&](int64_t i, int) {
                const float* row = logits.data() + i * vocabulary;
                tokens[static_cast<size_t>(i)] =
                    static_cast<int32_t>(std::max_element(row, row + vocabulary) - row);
              });
            }
          });
}

// Through the public API, as a user has it; the picture is decoded before the clock starts.
Status Benchmark::FirstToken() {
  const int side = model_->info().image_size;
  UserTurn turn;
  turn.text = "What are these?";
  turn.images.push_back({side, side, {}});
  const Buffer<float> noise = Noise(int64_t{3} * side * side);
  for (float value : noise) {
    turn.images[0].pixels.push_back(static_cast<uint8_t>(127.5f + 127 * value));
  }
  GenerateOptions generate;
  generate.max_tokens = 1;
  FASTVLM_ASSIGN_OR_RETURN(Session session, Session::Create(model_));
  const int64_t tokens = impl_.model.TokenCount(side, side);
  Status status;
  Measure(BenchmarkKind::kFirstToken, side, tokens, [&] {
    session.Reset();
    const Result<Answer> answer = session.Ask(turn, generate);
    if (!answer.ok()) status = answer.status();
  });
  return status;
}

Result<std::vector<BenchmarkCase>> Benchmark::Run() {
  const int64_t positions = impl_.checkpoint.config().decoder.max_positions;
  std::vector<Pass> passes;
  for (int side : options_.encoder_sizes) {
    // 0 would stand for the model's own size.
    const EncodeOptions size{.width = std::max(1, side), .height = std::max(1, side)};
    FASTVLM_RETURN_IF_ERROR(ResolveSize(model_->info(), size).status());
    passes.push_back([this, side] { Encode(side); });
  }
  for (int tokens : options_.prefill_tokens) {
    if (tokens > 0 && tokens <= positions) passes.push_back([this, tokens] { Prefill(tokens); });
  }
  for (int depth : options_.decode_depths) {
    if (depth >= 0 && depth + options_.decode_tokens <= positions) {
      passes.push_back([this, depth] { Decode(BenchmarkKind::kDecode, 1, depth); });
    }
  }
  for (int sequences : options_.batches) {
    if (sequences > kMaxBatch) {
      return Error(StatusCode::kInvalidArgument, "a batch of {} sequences, expected {} at most",
                   sequences, kMaxBatch);
    }
    if (sequences > 0 && kBatchDepth + options_.decode_tokens <= positions) {
      passes.push_back(
          [this, sequences] { Decode(BenchmarkKind::kBatch, sequences, kBatchDepth); });
    }
  }
  planned_ = passes.size() + (options_.first_token ? 1 : 0);
  {
    const std::lock_guard lock(impl_.compute_mutex);
    for (const Pass& pass : passes) pass();
  }
  if (options_.first_token) FASTVLM_RETURN_IF_ERROR(FirstToken());
  return std::move(cases_);
}

}  // namespace

MachinePeak MeasureMachinePeak(const Model& model) {
  // More than any cache holds.
  constexpr size_t kFloats = size_t{64} << 20;
  const ModelImpl& impl = ImplOf(model);
  const std::lock_guard lock(impl.compute_mutex);
  Buffer<float> memory(kFloats);
  std::fill(memory.begin(), memory.end(), 1.0f);
  return {MeasurePeakGflops(impl.pool), MeasurePeakInt8Gops(impl.pool),
          MeasurePeakBf16Gflops(impl.pool), MeasurePeakF16Gflops(impl.pool),
          MeasureReadGbps(memory.data(), memory.size(), impl.pool)};
}

Result<std::vector<BenchmarkCase>> RunBenchmark(const std::shared_ptr<const Model>& model,
                                                const BenchmarkOptions& options,
                                                const BenchmarkProgressFn& progress) {
  if (options.repetitions < 1 || options.decode_tokens < 1) {
    return Error(StatusCode::kInvalidArgument,
                 "{} repetitions of {} decoded tokens: expected 1 or more of each",
                 options.repetitions, options.decode_tokens);
  }
  return Benchmark(model, options, progress).Run();
}

}  // namespace fastvlm
