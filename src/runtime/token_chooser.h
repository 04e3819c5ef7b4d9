// From logits to the next token of an answer.
#ifndef FASTVLM_RUNTIME_TOKEN_CHOOSER_H_
#define FASTVLM_RUNTIME_TOKEN_CHOOSER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fastvlm/options.h"
#include "fastvlm/status.h"
#include "grammar/token_constraint.h"
#include "runtime/sampler.h"

namespace fastvlm {

// What an answer ends with if there is no token to choose. directory: of the model.
Status NoFiniteLogit(const std::string& directory);

// Chooses the tokens of one answer, one after the other. Tokens that are no output are left out
// first, then those that the answer's grammar does not let through; the sampler draws from the
// rest.
class TokenChooser {
 public:
  // sampling: valid. banned: never chosen; must outlive this. constraint: null for free text.
  TokenChooser(const SamplingOptions& sampling, int64_t vocabulary,
               std::span<const int32_t> banned = {},
               std::unique_ptr<TokenConstraint> constraint = {});

  // logits: [vocabulary], changed in place. -1 if no logit that is left is finite. `model_logits`,
  // unless null, receives the model's own distribution: the logits without the banned tokens, as
  // they were before the grammar and the options.
  int32_t Choose(std::span<float> logits, std::vector<float>* model_logits = nullptr);

  // Goes on after `token`, the one that was chosen; not needed after the last one.
  void Accept(int32_t token);

 private:
  std::span<const int32_t> banned_;
  std::unique_ptr<TokenConstraint> constraint_;
  Sampler sampler_;
};

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_TOKEN_CHOOSER_H_
