#include "fastvlm/logits.h"

#include <algorithm>
#include <mutex>

#include "base/status.h"
#include "model/kv_cache.h"
#include "runtime/model_impl.h"
#include "text/chat_prompt.h"

namespace fastvlm {
namespace {

constexpr int64_t kChunk = 256;  // tokens the decoder takes at once

}  // namespace

Result<PromptLogits> ComputePromptLogits(const Model& model, const UserTurn& turn,
                                         const ProgressFn& progress) {
  const ModelImpl& impl = ImplOf(model);
  const Decoder& decoder = impl.model.decoder();
  const int64_t hidden = decoder.config().hidden;
  const ChatTurn chat_turn{ChatRole::kUser, turn.text, static_cast<int>(turn.images.size())};
  FASTVLM_ASSIGN_OR_RETURN(const std::string text, BuildPrompt({&chat_turn, 1}));
  std::vector<Matrix> images;
  for (const Image& image : turn.images) {
    FASTVLM_ASSIGN_OR_RETURN(Matrix tokens, model.EncodeVisualTokens(image, turn.encode, progress));
    images.push_back(std::move(tokens));
  }
  std::vector<float> x;
  size_t next_image = 0;
  for (int32_t id : TokenizePrompt(impl.tokenizer, text)) {
    if (id == kImageTokenIndex) {
      const std::vector<float>& values = images[next_image++].values;
      x.insert(x.end(), values.begin(), values.end());
    } else {
      x.resize(x.size() + static_cast<size_t>(hidden));
      decoder.Embed(&id, 1, x.data() + x.size() - hidden);
    }
  }
  PromptLogits result;
  result.prompt_tokens = static_cast<int64_t>(x.size()) / hidden;
  if (result.prompt_tokens > model.info().context_tokens) {
    return Error(StatusCode::kResourceExhausted, "the prompt needs {} tokens, the context holds {}",
                 result.prompt_tokens, model.info().context_tokens);
  }
  const std::lock_guard lock(impl.compute_mutex);
  KvCache cache(decoder.config(), result.prompt_tokens);
  DecoderWorkspace workspace(decoder, std::min(kChunk, result.prompt_tokens), result.prompt_tokens,
                             model.threads());
  for (int64_t start = 0; start < result.prompt_tokens; start += kChunk) {
    decoder.Forward(x.data() + start * hidden, std::min(kChunk, result.prompt_tokens - start),
                    cache, workspace, impl.pool);
  }
  result.values.resize(static_cast<size_t>(decoder.vocabulary()));
  decoder.Logits(x.data() + (result.prompt_tokens - 1) * hidden, result.values.data(), workspace,
                 impl.pool);
  return result;
}

}  // namespace fastvlm
