// Reading a prompt: its tokens and pictures become embeddings, and the decoder takes these in
// chunks.
#ifndef FASTVLM_RUNTIME_PREFILL_H_
#define FASTVLM_RUNTIME_PREFILL_H_

#include <cstdint>
#include <span>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "fastvlm/model.h"
#include "model/decoder.h"
#include "model/kv_cache.h"

namespace fastvlm {

// The most tokens of a prompt that the decoder takes at once: enough to pay for reading the
// weights, few enough that the activations stay small.
inline constexpr int64_t kPrefillChunk = 256;

// Activations for a cache with room for `capacity` tokens: for chunks of a prompt, and for one
// token at a time after it.
DecoderWorkspace NewPrefillWorkspace(const Decoder& decoder, int64_t capacity, int threads);

// The embeddings of a prompt, [tokens, hidden]. Each kImageTokenIndex among the ids stands for one
// picture; all pictures have the same number of visual tokens. visual: those of all pictures, in
// their order, [pictures * tokens of a picture, hidden].
Buffer<float> EmbedPrompt(const Decoder& decoder, std::span<const int32_t> ids,
                          std::span<const float> visual);

// Runs the decoder over the embeddings x of a prompt, [tokens, hidden] with at least one token,
// chunk after chunk, and adds them to the cache, which must have room. x becomes the hidden states;
// returns that of the last token, from which the answer begins. `progress` is called before each
// chunk, so that others can take their turn there.
const float* Prefill(const Decoder& decoder, float* x, int64_t tokens, KvCache& cache,
                     DecoderWorkspace& workspace, ThreadPool& pool,
                     const ProgressFn& progress = {});

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_PREFILL_H_
