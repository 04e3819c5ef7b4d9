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

// The logits with which an answer to `turn`, the first of a conversation, begins.
// kResourceExhausted if the turn is longer than the model's context; otherwise as Session::Ask.
FASTVLM_EXPORT Result<PromptLogits> ComputePromptLogits(const Model& model, const UserTurn& turn,
                                                        const ProgressFn& progress = {});

}  // namespace fastvlm

#endif  // FASTVLM_LOGITS_H_
