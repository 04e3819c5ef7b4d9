#include "fastvlm/logits.h"

#include <mutex>

#include "base/status.h"
#include "model/kv_cache.h"
#include "runtime/model_impl.h"
#include "runtime/prefill.h"
#include "text/chat_prompt.h"

namespace fastvlm {
namespace {

Result<PromptLogits> Compute(const Model& model, const UserTurn& turn, const ProgressFn& progress) {
  const ModelImpl& impl = ImplOf(model);
  const Decoder& decoder = impl.model.decoder();
  const ChatTurn chat_turn{ChatRole::kUser, turn.text, static_cast<int>(turn.images.size())};
  FASTVLM_ASSIGN_OR_RETURN(const std::string text, BuildPrompt({&chat_turn, 1}));
  std::vector<float> visual;
  for (const Image& image : turn.images) {
    FASTVLM_ASSIGN_OR_RETURN(const Matrix tokens,
                             model.EncodeVisualTokens(image, turn.encode, progress));
    visual.insert(visual.end(), tokens.values.begin(), tokens.values.end());
  }
  Buffer<float> x = EmbedPrompt(decoder, TokenizePrompt(impl.tokenizer, text), visual);
  PromptLogits result;
  result.prompt_tokens = static_cast<int64_t>(x.size()) / decoder.config().hidden;
  if (result.prompt_tokens > model.info().context_tokens) {
    return Error(StatusCode::kResourceExhausted, "the prompt needs {} tokens, the context holds {}",
                 result.prompt_tokens, model.info().context_tokens);
  }
  const ComputeLock lock(impl.compute_mutex);
  KvCache cache(decoder.config(), result.prompt_tokens);
  DecoderWorkspace workspace = NewPrefillWorkspace(decoder, result.prompt_tokens, model.threads());
  const float* last = Prefill(decoder, x.data(), result.prompt_tokens, cache, workspace, impl.pool);
  result.values.resize(static_cast<size_t>(decoder.vocabulary()));
  decoder.Logits(last, result.values.data(), workspace, impl.pool);
  return result;
}

}  // namespace

Result<PromptLogits> ComputePromptLogits(const Model& model, const UserTurn& turn,
                                         const ProgressFn& progress) {
  constexpr MemoryUse kUse = {"the keys and values of the prompt",
                              "shorten it or lower the resolution"};
  return CatchOutOfMemory(kUse, [&] { return Compute(model, turn, progress); });
}

}  // namespace fastvlm
