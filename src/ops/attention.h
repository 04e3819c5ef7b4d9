// Attention: of the vision encoder over all its tokens, and of the decoder over its cache.
// The arithmetic is that of kernels/attention_f32; the output is softmax(q k^T / sqrt(head_dim)) v.
// Results do not depend on the number of threads.
#ifndef FASTVLM_OPS_ATTENTION_H_
#define FASTVLM_OPS_ATTENTION_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "ops/kv_layer.h"

namespace fastvlm {

// Self-attention without a mask.
// Source: MHSA of FastViTHD (mci.py), between its qkv and proj layers.
// qkv: [tokens, 3 * heads * head_dim] contiguous, a row being [q | k | v], each [heads, head_dim].
// out: [tokens, heads * head_dim] contiguous, apart from qkv. scratch: at least
// SelfAttentionScratchFloats floats for these sizes and pool.threads(). All sizes >= 1.
size_t SelfAttentionScratchFloats(int64_t tokens, int64_t heads, int64_t head_dim, int threads);
void SelfAttention(const float* qkv, int64_t tokens, int64_t heads, int64_t head_dim, float* out,
                   float* scratch, ThreadPool& pool);

// The next tokens of one sequence: positions start..start + tokens - 1, whose keys and values have
// been stored.
struct CausalSegment {
  int64_t tokens = 0;  // >= 1
  int64_t start = 0;
  const KvLayer* kv = nullptr;
};

// Causal attention of the queries of each segment over its cache, from position 0 to their own.
// Source: Qwen2Attention of transformers (modeling_qwen2.py), between its rotary embedding and
// o_proj. Query head j uses key/value head j / (heads / kv.kv_heads()).
// q: [tokens of all segments, heads * head_dim], rotated but not scaled, rows q_stride floats
// apart; out: the same shape, rows out_stride floats apart, apart from q. heads is a multiple of
// kv.kv_heads(). scratch: at least CausalAttentionScratchFloats floats for as many tokens and
// segments or more, for the caches' capacity or more and for pool.threads() or more; it becomes
// resident only as far as it is used. A row depends on its position and on what its cache holds
// before it, on nothing else, to the last bit.
size_t CausalAttentionScratchFloats(int64_t tokens, int64_t segments, int64_t heads,
                                    int64_t head_dim, int64_t capacity, int threads);
void CausalAttention(const float* q, int64_t q_stride, std::span<const CausalSegment> segments,
                     int64_t heads, float* out, int64_t out_stride, float* scratch,
                     ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_ATTENTION_H_
