#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "base/check.h"
#include "base/field_range.h"

namespace fastvlm {
namespace {

// Below this temperature, logits divided by it overflow. Long before that, only the most likely
// token is drawn anyway.
constexpr float kColdest = 1e-30f;

int32_t MostLikelyToken(std::span<const float> logits) {
  int32_t best = -1;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isfinite(logits[i])) continue;
    if (best < 0 || logits[i] > logits[static_cast<size_t>(best)]) best = static_cast<int32_t>(i);
  }
  return best;
}

// kInvalidArgument that names the first field that is out of its range.
template <typename Options>
Status CheckRanges(const Options& options) {
  Options fields = options;  // VisitFields gives its visitor what it may change
  Status status;
  VisitFields(fields,
              [&status](const char* name, const auto& field, const char*, const FieldRange& range) {
                if (!status.ok() || range.Contains(static_cast<double>(field))) return;
                status = Status(StatusCode::kInvalidArgument, OutOfRangeText(name, field, range));
              });
  return status;
}

}  // namespace

Status ValidateSampling(const SamplingOptions& options) { return CheckRanges(options); }

Status ValidateGenerate(const GenerateOptions& options) { return CheckRanges(options); }

Sampler::Sampler(const SamplingOptions& options, int64_t vocabulary)
    : options_(options), generator_(options.seed), counts_(static_cast<size_t>(vocabulary)) {
  if (options.temperature < kColdest) return;
  const auto all = static_cast<size_t>(vocabulary);
  const bool whole = options.top_k == 0;
  candidates_.reserve(whole ? all : std::min(all, static_cast<size_t>(options.top_k)));
  if (whole && options.top_p < 1) halved_.reserve(all);
}

int64_t Sampler::Bytes(const SamplingOptions& options, int64_t vocabulary) {
  const int64_t counts = vocabulary * int64_t{sizeof(int32_t)};
  if (options.temperature < kColdest) return counts;
  const bool whole = options.top_k == 0;
  const int64_t candidates = whole ? vocabulary : std::min(vocabulary, int64_t{options.top_k});
  const int64_t halved = whole && options.top_p < 1 ? vocabulary : 0;
  return counts + (candidates + halved) * int64_t{sizeof(Candidate)};
}

void Sampler::Observe(int32_t token) {
  if (token >= 0 && static_cast<size_t>(token) < counts_.size()) {
    ++counts_[static_cast<size_t>(token)];
  }
}

void Sampler::PenaliseSeen(std::span<float> logits) const {
  const float penalty = options_.repetition_penalty;
  const float frequency = options_.frequency_penalty, presence = options_.presence_penalty;
  if (penalty == 1 && frequency == 0 && presence == 0) return;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (counts_[i] == 0) continue;
    logits[i] = logits[i] > 0 ? logits[i] / penalty : logits[i] * penalty;
    logits[i] -= static_cast<float>(counts_[i]) * frequency + presence;
  }
}

int32_t Sampler::Next(std::span<float> logits) {
  FASTVLM_CHECK(logits.size() == counts_.size());
  PenaliseSeen(logits);
  if (options_.temperature < kColdest) return MostLikelyToken(logits);
  candidates_.clear();
  const bool sorted = options_.top_k > 0;
  sorted ? CollectTopK(logits) : CollectAll(logits);
  if (candidates_.empty()) return -1;
  const double most = ComputeProbabilities();
  if (options_.top_p < 1) sorted ? KeepTopPOfSorted() : KeepTopP();
  const double least = double{options_.min_p} * most;
  std::erase_if(candidates_, [least](const Candidate& c) { return c.probability < least; });
  return Draw();
}

bool Sampler::MoreLikely(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

// A whole vocabulary is left unsorted: sorting it for each token would take longer than a small
// model takes to compute the token.
void Sampler::CollectAll(std::span<const float> logits) {
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isfinite(logits[i])) continue;
    candidates_.push_back({static_cast<int32_t>(i), logits[i] / options_.temperature, 0});
  }
}

// The candidates end sorted, the most likely first. While they are collected they are a heap whose
// front is the least likely one.
void Sampler::CollectTopK(std::span<const float> logits) {
  const auto k = static_cast<size_t>(options_.top_k);
  float least = -std::numeric_limits<float>::infinity();  // logits up to this one are too low
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] > least) || !std::isfinite(logits[i])) continue;
    const Candidate candidate{static_cast<int32_t>(i), logits[i] / options_.temperature, 0};
    if (candidates_.size() == k) {
      if (!MoreLikely(candidate, candidates_.front())) continue;  // the division made it equal
      std::pop_heap(candidates_.begin(), candidates_.end(), MoreLikely);
      candidates_.pop_back();
    }
    candidates_.push_back(candidate);
    std::push_heap(candidates_.begin(), candidates_.end(), MoreLikely);
    // A later token of an equal logit has a higher id and comes after these.
    if (candidates_.size() == k) least = logits[static_cast<size_t>(candidates_.front().token)];
  }
  std::sort_heap(candidates_.begin(), candidates_.end(), MoreLikely);
}

// Returns the highest of the probabilities.
double Sampler::ComputeProbabilities() {
  float most = candidates_.front().logit;
  for (const Candidate& candidate : candidates_) most = std::max(most, candidate.logit);
  double sum = 0;
  for (Candidate& candidate : candidates_) {
    candidate.probability = std::exp(double{candidate.logit} - double{most});
    sum += candidate.probability;
  }
  for (Candidate& candidate : candidates_) candidate.probability /= sum;
  return 1 / sum;
}

void Sampler::KeepTopPOfSorted() {
  double sum = 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    sum += candidates_[i].probability;
    if (sum >= double{options_.top_p}) {
      candidates_.resize(i + 1);
      return;
    }
  }
}

// Halves, again and again, the range in which the last candidate to keep is. The candidates that
// are kept stay in their old order, because the order that nth_element leaves behind differs
// between standard libraries.
void Sampler::KeepTopP() {
  // All candidates below this together have less than half of the probability that is to be left
  // out, so they need no look.
  const double least =
      (1 - double{options_.top_p}) / (2.0 * static_cast<double>(candidates_.size()));
  halved_.clear();
  std::copy_if(candidates_.begin(), candidates_.end(), std::back_inserter(halved_),
               [least](const Candidate& c) { return c.probability >= least; });
  auto first = halved_.begin(), last = halved_.end();
  double sum = 0;  // of the candidates before `first`, all more likely than those behind
  while (last - first > 1) {
    const auto middle = first + (last - first) / 2;
    std::nth_element(first, middle, last, MoreLikely);
    double half = 0;
    for (auto at = first; at != middle; ++at) half += at->probability;
    if (sum + half >= double{options_.top_p}) {
      last = middle;
    } else {
      sum += half;
      first = middle;
    }
  }
  std::erase_if(candidates_, [&](const Candidate& c) { return MoreLikely(*first, c); });
}

int32_t Sampler::Draw() {
  double sum = 0;
  for (const Candidate& candidate : candidates_) sum += candidate.probability;
  // 53 random bits by hand, because the distributions of <random> differ between standard
  // libraries.
  double target = static_cast<double>(generator_() >> 11) * 0x1p-53 * sum;
  for (const Candidate& candidate : candidates_) {
    target -= candidate.probability;
    if (target < 0) return candidate.token;
  }
  return candidates_.back().token;
}

}  // namespace fastvlm
