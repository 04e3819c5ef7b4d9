// Log probabilities of the likeliest tokens.
#ifndef FASTVLM_RUNTIME_LOGPROBS_H_
#define FASTVLM_RUNTIME_LOGPROBS_H_

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace fastvlm {

// log of the sum of exp(logit); -infinity if there is no finite one. logits: at least one.
double LogSumExp(std::span<const float> logits);

// The `count` highest logits with their tokens, highest first, the lower token first among equals;
// infinite and NaN ones are left out.
std::vector<std::pair<int32_t, float>> HighestLogits(std::span<const float> logits, int count);

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_LOGPROBS_H_
