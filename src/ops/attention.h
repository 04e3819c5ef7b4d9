// Attention: of the vision encoder over all its tokens, and of the decoder over its cache.
// The arithmetic is that of kernels/attention_f32; the output is softmax(q k^T / sqrt(head_dim)) v.
// Results do not depend on the number of threads.
#ifndef FASTVLM_OPS_ATTENTION_H_
#define FASTVLM_OPS_ATTENTION_H_

#include <cstddef>
#include <cstdint>

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

// Causal attention of queries at positions start..start + tokens - 1, each over the cache positions
// 0..its own, which must have been stored before.
// Source: Qwen2Attention of transformers (modeling_qwen2.py), between its rotary embedding and
// o_proj. Query head j uses key/value head j / (heads / kv.kv_heads()).
// q: [tokens, heads * head_dim], rotated but not scaled, rows q_stride floats apart; out: the same
// shape, rows out_stride floats apart; out may be q if the strides are equal. heads is a multiple
// of kv.kv_heads(). scratch: at least CausalAttentionScratchFloats floats for as many tokens or
// more, for the cache's capacity or more and for pool.threads() or more; it becomes resident only
// as far as it is used.
size_t CausalAttentionScratchFloats(int64_t tokens, int64_t heads, int64_t head_dim,
                                    int64_t capacity, int threads);
void CausalAttention(const float* q, int64_t q_stride, int64_t tokens, int64_t start, int64_t heads,
                     const KvLayer& kv, float* out, int64_t out_stride, float* scratch,
                     ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_ATTENTION_H_
