#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/status.h"

namespace fastvlm {
namespace {

Status OutOfRange(const char* name, double value, const char* range) {
  return Error(StatusCode::kInvalidArgument, "{} is {}, expected {}", name, value, range);
}

int32_t MostLikely(std::span<const float> logits) {
  int32_t best = -1;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isfinite(logits[i])) continue;
    if (best < 0 || logits[i] > logits[static_cast<size_t>(best)]) best = static_cast<int32_t>(i);
  }
  return best;
}

}  // namespace

Status ValidateSampling(const SamplingOptions& options) {
  // Written so that NaN fails.
  if (!(options.temperature >= 0 && options.temperature <= 100)) {
    return OutOfRange("temperature", options.temperature, "0 to 100");
  }
  if (options.top_k < 0) return OutOfRange("top-k", options.top_k, "0 (all) or more");
  if (!(options.top_p > 0 && options.top_p <= 1))
    return OutOfRange("top-p", options.top_p, "above 0, at most 1");
  if (!(options.min_p >= 0 && options.min_p <= 1))
    return OutOfRange("min-p", options.min_p, "0 to 1");
  if (!(options.repetition_penalty > 0 && options.repetition_penalty <= 100)) {
    return OutOfRange("repetition-penalty", options.repetition_penalty, "above 0, at most 100");
  }
  return {};
}

Sampler::Sampler(const SamplingOptions& options, int64_t vocabulary)
    : options_(options), generator_(options.seed), seen_(static_cast<size_t>(vocabulary)) {
  candidates_.reserve(static_cast<size_t>(vocabulary));
}

void Sampler::Observe(int32_t token) {
  if (token >= 0 && static_cast<size_t>(token) < seen_.size())
    seen_[static_cast<size_t>(token)] = true;
}

void Sampler::PenaliseSeen(std::span<float> logits) const {
  const float penalty = options_.repetition_penalty;
  if (penalty == 1) return;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (seen_[i]) logits[i] = logits[i] > 0 ? logits[i] / penalty : logits[i] * penalty;
  }
}

int32_t Sampler::Next(std::span<float> logits) {
  FASTVLM_CHECK(logits.size() == seen_.size());
  PenaliseSeen(logits);
  if (options_.temperature == 0) return MostLikely(logits);
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isfinite(logits[i])) continue;
    candidates_.push_back({static_cast<int32_t>(i), logits[i] / options_.temperature, 0});
  }
  if (candidates_.empty()) return -1;
  KeepTopK();
  ComputeProbabilities();
  KeepTopP();
  KeepMinP();
  return Draw();
}

// Leaves the candidates sorted, most likely first.
void Sampler::KeepTopK() {
  const auto more_likely = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  const size_t k = static_cast<size_t>(options_.top_k);
  if (k > 0 && k < candidates_.size()) {
    std::partial_sort(candidates_.begin(), candidates_.begin() + options_.top_k, candidates_.end(),
                      more_likely);
    candidates_.resize(k);
  } else {
    std::sort(candidates_.begin(), candidates_.end(), more_likely);
  }
}

void Sampler::ComputeProbabilities() {
  double sum = 0;
  for (Candidate& candidate : candidates_) {
    candidate.probability = std::exp(double{candidate.logit} - double{candidates_.front().logit});
    sum += candidate.probability;
  }
  for (Candidate& candidate : candidates_) candidate.probability /= sum;
}

void Sampler::KeepTopP() {
  if (options_.top_p >= 1) return;
  double sum = 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    sum += candidates_[i].probability;
    if (sum >= double{options_.top_p}) {
      candidates_.resize(i + 1);
      return;
    }
  }
}

void Sampler::KeepMinP() {
  const double least = double{options_.min_p} * candidates_.front().probability;
  while (candidates_.back().probability < least) candidates_.pop_back();
}

int32_t Sampler::Draw() {
  double sum = 0;
  for (const Candidate& candidate : candidates_) sum += candidate.probability;
  // 53 random bits; the distributions of <random> differ between standard libraries.
  double target = static_cast<double>(generator_() >> 11) * 0x1p-53 * sum;
  for (const Candidate& candidate : candidates_) {
    target -= candidate.probability;
    if (target < 0) return candidate.token;
  }
  return candidates_.back().token;
}

}  // namespace fastvlm
