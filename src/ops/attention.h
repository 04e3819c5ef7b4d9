// Attention: of the vision encoder over all its tokens, and of the decoder over its cache.
// The arithmetic is that of kernels/attention_f32; the output is softmax(q k^T / sqrt(head_dim)) v.
// Results do not depend on the number of threads.
#ifndef FASTVLM_OPS_ATTENTION_H_
#define FASTVLM_OPS_ATTENTION_H_

#include <cstddef>
#include <cstdint>

#include "base/buffer.h"
#include "base/thread_pool.h"

namespace fastvlm {

// Self-attention without a mask.
// Source: MHSA of FastViTHD (mci.py), between its qkv and proj layers.
// qkv: [tokens, 3 * heads * head_dim] contiguous, a row being [q | k | v], each [heads, head_dim].
// out: [tokens, heads * head_dim] contiguous, apart from qkv. scratch: at least
// SelfAttentionScratchFloats floats for these sizes and pool.threads(). All sizes >= 1.
size_t SelfAttentionScratchFloats(int64_t tokens, int64_t heads, int64_t head_dim, int threads);
void SelfAttention(const float* qkv, int64_t tokens, int64_t heads, int64_t head_dim, float* out,
                   float* scratch, ThreadPool& pool);

// The keys and values of one decoder layer for one sequence. Memory is reserved for `capacity`
// tokens at once and grows resident from front to back as tokens are stored. Not thread-safe.
class KvLayer {
 public:
  KvLayer() = default;
  KvLayer(int64_t kv_heads, int64_t head_dim, int64_t capacity);  // all >= 1

  // Stores the keys and values of positions start..start + tokens - 1, replacing what was there.
  // k, v: [tokens, kv_heads * head_dim], rows k_stride and v_stride floats apart.
  // start + tokens <= capacity().
  void Store(const float* k, int64_t k_stride, const float* v, int64_t v_stride, int64_t tokens,
             int64_t start);

  // Takes over the first `tokens` positions of a layer of the same shape.
  void CopyFrom(const KvLayer& other, int64_t tokens);  // tokens <= both capacities

  int64_t kv_heads() const { return kv_heads_; }
  int64_t head_dim() const { return head_dim_; }
  int64_t capacity() const { return capacity_; }

  // Bytes in use once `tokens` tokens are stored, before the system rounds up to its pages.
  size_t ResidentBytes(int64_t tokens) const;

  // For CausalAttention: the first block of a head, in the layout of kernels/attention_f32, and the
  // floats from one block to the next.
  const float* Blocks(int64_t kv_head) const;
  int64_t block_stride() const { return block_stride_; }

 private:
  int64_t kv_heads_ = 0;
  int64_t head_dim_ = 0;
  int64_t capacity_ = 0;
  int64_t block_stride_ = 0;
  Buffer<float> values_;  // [blocks of kAttentionBlock tokens][kv_heads][AttentionBlockFloats]
};

// Causal attention of queries at positions start..start + tokens - 1, each over the cache positions
// 0..its own, which must have been stored before.
// Source: Qwen2Attention of transformers (modeling_qwen2.py), between its rotary embedding and
// o_proj. Query head j uses key/value head j / (heads / kv.kv_heads()).
// q: [tokens, heads * head_dim], rotated but not scaled, rows q_stride floats apart; out: the same
// shape, rows out_stride floats apart; out may be q if the strides are equal. heads is a multiple
// of kv.kv_heads(). scratch: at least CausalAttentionScratchFloats floats for as many tokens or
// more, for the cache's capacity or more and for pool.threads() or more.
size_t CausalAttentionScratchFloats(int64_t tokens, int64_t heads, int64_t head_dim,
                                    int64_t capacity, int threads);
void CausalAttention(const float* q, int64_t q_stride, int64_t tokens, int64_t start, int64_t heads,
                     const KvLayer& kv, float* out, int64_t out_stride, float* scratch,
                     ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_ATTENTION_H_
