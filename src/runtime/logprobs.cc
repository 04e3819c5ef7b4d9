#include "runtime/logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fastvlm {

double LogSumExp(std::span<const float> logits) {
  float max = -std::numeric_limits<float>::infinity();
  for (float logit : logits) {
    if (std::isfinite(logit)) max = std::max(max, logit);
  }
  if (!std::isfinite(max)) return double{max};
  double sum = 0;
  for (float logit : logits) {
    if (std::isfinite(logit)) sum += double{std::exp(logit - max)};
  }
  return double{max} + std::log(sum);
}

std::vector<std::pair<int32_t, float>> HighestLogits(std::span<const float> logits, int count) {
  using Item = std::pair<int32_t, float>;
  const auto higher = [](const Item& a, const Item& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  };
  std::vector<Item> best;  // a heap whose first is the lowest
  best.reserve(static_cast<size_t>(count) + 1);
  for (size_t i = 0; i < logits.size() && count > 0; ++i) {
    if (!std::isfinite(logits[i])) continue;
    const bool full = best.size() == static_cast<size_t>(count);
    if (full && logits[i] <= best.front().second) continue;
    best.emplace_back(static_cast<int32_t>(i), logits[i]);
    std::push_heap(best.begin(), best.end(), higher);
    if (!full) continue;
    std::pop_heap(best.begin(), best.end(), higher);
    best.pop_back();
  }
  std::sort_heap(best.begin(), best.end(), higher);
  return best;
}

}  // namespace fastvlm
