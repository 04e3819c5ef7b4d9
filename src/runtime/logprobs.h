// Log probabilities of the likeliest tokens.
#ifndef FASTVLM_RUNTIME_LOGPROBS_H_
#define FASTVLM_RUNTIME_LOGPROBS_H_

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace fastvlm {

// The logarithm of the sum of exp(logit) over all finite logits; -infinity if none is finite.
// logits: at least one.
double LogSumExp(std::span<const float> logits);

// The `count` highest logits with their tokens, the highest first, and among equal ones the lower
// token first. Infinite and NaN logits are left out.
std::vector<std::pair<int32_t, float>> HighestLogits(std::span<const float> logits, int count);

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_LOGPROBS_H_
