// From logits to the next token.
#ifndef FASTVLM_RUNTIME_SAMPLER_H_
#define FASTVLM_RUNTIME_SAMPLER_H_

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "fastvlm/options.h"
#include "fastvlm/status.h"

namespace fastvlm {

// An error that names the field if one is out of range.
Status ValidateSampling(const SamplingOptions& options);
Status ValidateGenerate(const GenerateOptions& options);  // with its sampling

// Applies, in the order of transformers' logits processors: penalties (repetition, then frequency
// and presence), temperature, top-k, top-p, min-p; then draws. With temperature 0 it takes the most
// likely token, the lowest id among equals, after the penalties. The same seed gives the same draws
// on every machine.
class Sampler {
 public:
  // options: valid. vocabulary: number of logits.
  Sampler(const SamplingOptions& options, int64_t vocabulary);

  // What such a sampler holds, in bytes.
  static int64_t Bytes(const SamplingOptions& options, int64_t vocabulary);

  // Tokens that the penalties count.
  void Observe(int32_t token);

  // logits: [vocabulary], changed in place. Tokens with infinite or NaN logits are never drawn; -1
  // if all are of that kind.
  int32_t Next(std::span<float> logits);

 private:
  struct Candidate {
    int32_t token;
    float logit;
    double probability;
  };

  static bool MoreLikely(const Candidate& a, const Candidate& b);
  void PenaliseSeen(std::span<float> logits) const;
  void CollectAll(std::span<const float> logits);
  void CollectTopK(std::span<const float> logits);
  double ComputeProbabilities();
  void KeepTopPOfSorted();
  void KeepTopP();
  int32_t Draw();

  SamplingOptions options_;
  std::mt19937_64 generator_;
  std::vector<Candidate> candidates_;  // sized once; reused for every token
  std::vector<Candidate> halved_;      // used by KeepTopP
  std::vector<int32_t> counts_;        // of each token so far
};

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_SAMPLER_H_
