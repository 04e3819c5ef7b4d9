// The language model Qwen2: from embeddings to hidden states, and from these to logits.
// Source: Qwen2ForCausalLM in transformers' modeling_qwen2.
#ifndef FASTVLM_MODEL_DECODER_H_
#define FASTVLM_MODEL_DECODER_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "checkpoint/model_config.h"
#include "checkpoint/weights.h"
#include "model/kv_cache.h"
#include "model/precision.h"
#include "model/tap.h"
#include "ops/attention.h"
#include "ops/packed_linear.h"
#include "ops/rope.h"

namespace fastvlm {

class Decoder;

// The tokens of one sequence in a pass. They take the next places in the cache of the sequence.
struct DecoderSegment {
  KvCache* cache;
  int64_t tokens;  // >= 1
};

// The decoder's activations for at most `max_tokens` tokens at a time.
struct DecoderWorkspace {
  // capacity: at least that of each cache it is used with.
  DecoderWorkspace(const Decoder& decoder, int64_t max_tokens, int64_t capacity, int threads,
                   int64_t max_segments = 1);

  int64_t bytes() const;

  int64_t max_tokens;
  int64_t max_segments;
  Buffer<float> normed;     // [max_tokens, hidden]
  Buffer<float> qkv;        // [max_tokens, (heads + 2 kv_heads) * head_dim]
  Buffer<float> attention;  // [max_tokens, heads * head_dim]
  Buffer<float> gate_up;    // [max_tokens, 2 * intermediate]
  Buffer<float> scratch;    // of attention
  Buffer<uint8_t> linear_scratch;
  std::vector<CausalSegment> segments;  // of the layer under way
};

// Immutable. A pass changes only the caches and the workspace that it is given; only one pass may
// run on a pool at any moment.
class Decoder {
 public:
  // The embedding stays a view into the checkpoint, which must outlive the decoder. Logits are made
  // for the first `vocabulary` tokens only. on_layer is called after each layer is loaded.
  Decoder(const DecoderConfig& config, const DecoderTensors& tensors, int64_t vocabulary,
          const PartFormats& formats, ThreadPool& pool, const std::function<void()>& on_layer);

  const DecoderConfig& config() const { return config_; }
  int64_t vocabulary() const { return head_.n(); }
  size_t bytes() const;
  // How much scratch memory the linear layer that needs most of it needs for so many tokens.
  size_t LinearScratchBytes(int64_t tokens) const;

  // out: [ids, hidden]. Every id is below vocab_rows.
  void Embed(const int32_t* ids, int64_t count, float* out) const;

  // Takes the embeddings x, [tokens, hidden], through all layers and leaves the hidden states in
  // their place. The tokens, 1..workspace.max_tokens of them, stand at the positions from
  // cache.length() on; their keys and values are added to the cache, which must have room.
  void Forward(float* x, int64_t tokens, KvCache& cache, DecoderWorkspace& workspace,
               ThreadPool& pool, const TapFn& tap = {}) const;
  // The same for at most workspace.max_segments sequences, each with a cache of its own, in one
  // pass over the weights. x has the rows of the first segment, then those of the second, and so
  // on. To the last bit, a row does not depend on which others are computed beside it.
  void Forward(float* x, std::span<const DecoderSegment> segments, DecoderWorkspace& workspace,
               ThreadPool& pool, const TapFn& tap = {}) const;

  // Final norm and head of `rows` (1..workspace.max_tokens) hidden states:
  // x: [rows, hidden] -> logits: [rows, vocabulary].
  void Logits(const float* x, int64_t rows, float* logits, DecoderWorkspace& workspace,
              ThreadPool& pool, const TapFn& tap = {}) const;
  void Logits(const float* x, float* logits, DecoderWorkspace& workspace, ThreadPool& pool,
              const TapFn& tap = {}) const {
    Logits(x, 1, logits, workspace, pool, tap);
  }

 private:
  struct Layer {
    Buffer<float> input_norm;
    PackedLinear qkv;
    PackedLinear o;
    Buffer<float> post_attention_norm;
    PackedLinear gate_up;
    PackedLinear down;
  };

  void AddAttention(size_t index, float* x, int64_t tokens,
                    std::span<const DecoderSegment> segments, DecoderWorkspace& workspace,
                    ThreadPool& pool) const;
  void AddMlp(const Layer& layer, float* x, int64_t tokens, DecoderWorkspace& workspace,
              ThreadPool& pool) const;

  DecoderConfig config_;
  Tensor embedding_;
  std::vector<Layer> layers_;
  Buffer<float> final_norm_;
  PackedLinear head_;
  RopeTable rope_;
};

}  // namespace fastvlm

#endif  // FASTVLM_MODEL_DECODER_H_
