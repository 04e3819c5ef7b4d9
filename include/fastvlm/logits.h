// What a model computes, for comparison with other implementations.
#ifndef FASTVLM_LOGITS_H_
#define FASTVLM_LOGITS_H_

#include <cstdint>
#include <vector>

#include "fastvlm/export.h"
#include "fastvlm/model.h"
#include "fastvlm/session.h"
#include "fastvlm/status.h"

namespace fastvlm {

struct PromptLogits {
  int64_t prompt_tokens = 0;  // text and images together
  std::vector<float> values;  // of the token after the prompt: [vocabulary], nothing masked
};

// The logits from which the first token of an answer to `turn` is chosen, `turn` being the first of
// a conversation. The cache of keys and values is f32 at every precision, unlike a session's.
// kResourceExhausted if the turn is longer than the model's context; otherwise as Session::Ask.
FASTVLM_EXPORT Result<PromptLogits> ComputePromptLogits(const Model& model, const UserTurn& turn,
                                                        const ProgressFn& progress = {});

}  // namespace fastvlm

#endif  // FASTVLM_LOGITS_H_
