#include "runtime/prefill.h"

#include <algorithm>

#include "text/chat_prompt.h"

namespace fastvlm {

DecoderWorkspace NewPrefillWorkspace(const Decoder& decoder, int64_t capacity, int threads) {
  return DecoderWorkspace(decoder, std::min(kPrefillChunk, capacity), capacity, threads);
}

Buffer<float> EmbedPrompt(const Decoder& decoder, std::span<const int32_t> ids,
                          std::span<const float> visual) {
  const auto hidden = static_cast<size_t>(decoder.config().hidden);
  const auto pictures = static_cast<size_t>(std::count(ids.begin(), ids.end(), kImageTokenIndex));
  const size_t picture_floats = pictures == 0 ? 0 : visual.size() / pictures;
  Buffer<float> embeddings((ids.size() - pictures) * hidden + pictures * picture_floats);
  float* out = embeddings.data();
  const float* picture = visual.data();
  for (const int32_t id : ids) {
    if (id == kImageTokenIndex) {
      out = std::copy_n(picture, picture_floats, out);
      picture += picture_floats;
    } else {
      decoder.Embed(&id, 1, out);
      out += hidden;
    }
  }
  return embeddings;
}

const float* Prefill(const Decoder& decoder, float* x, int64_t tokens, KvCache& cache,
                     DecoderWorkspace& workspace, ThreadPool& pool, const ProgressFn& progress) {
  const int64_t hidden = decoder.config().hidden;
  for (int64_t start = 0; start < tokens; start += workspace.max_tokens) {
    if (progress) progress(static_cast<double>(start) / static_cast<double>(tokens));
    decoder.Forward(x + start * hidden, std::min(workspace.max_tokens, tokens - start), cache,
                    workspace, pool);
  }
  return x + (tokens - 1) * hidden;
}

}  // namespace fastvlm
