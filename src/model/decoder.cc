#include "model/decoder.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "model/load.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace fastvlm {

DecoderWorkspace::DecoderWorkspace(const Decoder& decoder, int64_t max_tokens_in, int64_t capacity,
                                   int threads, int64_t max_segments_in)
    : max_tokens(max_tokens_in), max_segments(max_segments_in) {
  const DecoderConfig& config = decoder.config();
  const auto rows = [&](int64_t width) {
    return Buffer<float>(static_cast<size_t>(max_tokens * width));
  };
  normed = rows(config.hidden);
  qkv = rows((config.heads + 2 * config.kv_heads) * config.head_dim);
  attention = rows(config.heads * config.head_dim);
  gate_up = rows(2 * config.intermediate);
  scratch = Buffer<float>(CausalAttentionScratchFloats(max_tokens, max_segments, config.heads,
                                                       config.head_dim, capacity, threads));
  segments.reserve(static_cast<size_t>(max_segments));
  linear_scratch = Buffer<uint8_t>(decoder.LinearScratchBytes(max_tokens));
}

int64_t DecoderWorkspace::bytes() const {
  const size_t floats =
      normed.size() + qkv.size() + attention.size() + gate_up.size() + scratch.size();
  return static_cast<int64_t>(floats * sizeof(float) + linear_scratch.size());
}

Decoder::Decoder(const DecoderConfig& config, const DecoderTensors& tensors, int64_t vocabulary,
                 const PartFormats& formats, ThreadPool& pool,
                 const std::function<void()>& on_layer)
    : config_(config),
      embedding_(tensors.embedding),
      final_norm_(ToBuffer(tensors.final_norm)),
      head_(LoadRows(tensors.head, vocabulary, formats.head, pool)),
      rope_(config.head_dim, config.rope_theta, config.max_positions) {
  layers_.reserve(tensors.layers.size());
  for (const DecoderLayerTensors& layer : tensors.layers) {
    const std::optional<LinearFormat> format = formats.layers;
    layers_.push_back(
        {ToBuffer(layer.input_norm), LoadJoined({&layer.q, &layer.k, &layer.v}, format, pool),
         LoadLinear(layer.o, format, pool), ToBuffer(layer.post_attention_norm),
         LoadJoined({&layer.gate, &layer.up}, format, pool), LoadLinear(layer.down, format, pool)});
    if (on_layer) on_layer();
  }
}

size_t Decoder::bytes() const {
  size_t bytes = head_.bytes();
  for (const Layer& layer : layers_) {
    bytes += layer.qkv.bytes() + layer.o.bytes() + layer.gate_up.bytes() + layer.down.bytes();
  }
  return bytes;
}

size_t Decoder::LinearScratchBytes(int64_t tokens) const {
  size_t bytes = fastvlm::LinearScratchBytes(head_, tokens);
  if (layers_.empty()) return bytes;
  const Layer& layer = layers_.front();
  for (const PackedLinear* weights : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down}) {
    bytes = std::max(bytes, fastvlm::LinearScratchBytes(*weights, tokens));
  }
  return bytes;
}

void Decoder::Embed(const int32_t* ids, int64_t count, float* out) const {
  for (int64_t i = 0; i < count; ++i) {
    FASTVLM_CHECK(ids[i] >= 0 && ids[i] < config_.vocab_rows);
    embedding_.CopyToF32(ids[i] * config_.hidden, config_.hidden, out + i * config_.hidden);
  }
}

void Decoder::AddAttention(size_t index, float* x, int64_t tokens,
                           std::span<const DecoderSegment> segments, DecoderWorkspace& workspace,
                           ThreadPool& pool) const {
  const Layer& layer = layers_[index];
  const int64_t hidden = config_.hidden;
  const int64_t q_size = config_.heads * config_.head_dim;
  const int64_t kv_size = config_.kv_heads * config_.head_dim;
  const int64_t stride = q_size + 2 * kv_size;
  float* q = workspace.qkv.data();
  float* k = q + q_size;
  float* v = k + kv_size;
  float* attention = workspace.attention.data();

  RmsNorm(x, tokens, hidden, layer.input_norm.data(), config_.rms_norm_eps, workspace.normed.data(),
          pool);
  Linear(layer.qkv, workspace.normed.data(), tokens, hidden, q, stride, {},
         workspace.linear_scratch.data(), pool);
  int64_t at = 0;
  workspace.segments.clear();
  for (const auto& [cache, count] : segments) {
    const int64_t start = cache->length();
    KvLayer& kv = cache->layer(index);
    // Queries and keys lie side by side: one rotation covers both.
    ApplyRope(rope_, q + at, count, stride, config_.heads + config_.kv_heads, start, pool);
    kv.Store(k + at, stride, v + at, stride, count, start);
    workspace.segments.push_back({count, start, &kv});
    at += count * stride;
  }
  CausalAttention(q, stride, workspace.segments, config_.heads, attention, q_size,
                  workspace.scratch.data(), pool);
  Epilogue add;
  add.residual = x;
  add.residual_stride = hidden;
  Linear(layer.o, attention, tokens, q_size, x, hidden, add, workspace.linear_scratch.data(), pool);
}

void Decoder::AddMlp(const Layer& layer, float* x, int64_t tokens, DecoderWorkspace& workspace,
                     ThreadPool& pool) const {
  const int64_t hidden = config_.hidden;
  const int64_t intermediate = config_.intermediate;
  float* gate_up = workspace.gate_up.data();
  RmsNorm(x, tokens, hidden, layer.post_attention_norm.data(), config_.rms_norm_eps,
          workspace.normed.data(), pool);
  Linear(layer.gate_up, workspace.normed.data(), tokens, hidden, gate_up, 2 * intermediate, {},
         workspace.linear_scratch.data(), pool);
  SiluMul(gate_up, tokens, intermediate, pool);
  Epilogue add;
  add.residual = x;
  add.residual_stride = hidden;
  Linear(layer.down, gate_up, tokens, 2 * intermediate, x, hidden, add,
         workspace.linear_scratch.data(), pool);
}

void Decoder::Forward(float* x, int64_t tokens, KvCache& cache, DecoderWorkspace& workspace,
                      ThreadPool& pool, const TapFn& tap) const {
  const DecoderSegment segment{&cache, tokens};
  Forward(x, {&segment, 1}, workspace, pool, tap);
}

void Decoder::Forward(float* x, std::span<const DecoderSegment> segments,
                      DecoderWorkspace& workspace, ThreadPool& pool, const TapFn& tap) const {
  int64_t tokens = 0;
  for (const auto& [cache, count] : segments) {
    FASTVLM_CHECK(count >= 1 && cache->length() + count <= cache->capacity());
    tokens += count;
  }
  FASTVLM_CHECK(tokens >= 1 && tokens <= workspace.max_tokens);
  FASTVLM_CHECK(static_cast<int64_t>(segments.size()) <= workspace.max_segments);
  for (size_t i = 0; i < layers_.size(); ++i) {
    AddAttention(i, x, tokens, segments, workspace, pool);
    AddMlp(layers_[i], x, tokens, workspace, pool);
    if (tap) tap("layer." + std::to_string(i), x, {tokens, config_.hidden});
  }
  for (const auto& [cache, count] : segments) cache->Extend(count);
}

void Decoder::Logits(const float* x, int64_t rows, float* logits, DecoderWorkspace& workspace,
                     ThreadPool& pool, const TapFn& tap) const {
  FASTVLM_CHECK(rows >= 1 && rows <= workspace.max_tokens);
  float* normed = workspace.normed.data();
  RmsNorm(x, rows, config_.hidden, final_norm_.data(), config_.rms_norm_eps, normed, pool);
  if (tap) tap("final_norm", normed, {rows, config_.hidden});
  Linear(head_, normed, rows, config_.hidden, logits, head_.n(), {},
         workspace.linear_scratch.data(), pool);
}

}  // namespace fastvlm
