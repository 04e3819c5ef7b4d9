// What may come next in an answer that has to follow a grammar.
#ifndef FASTVLM_GRAMMAR_TOKEN_CONSTRAINT_H_
#define FASTVLM_GRAMMAR_TOKEN_CONSTRAINT_H_

#include <cstdint>
#include <span>

namespace fastvlm {

// The state of one answer. Not thread-safe.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;

  // Sets the logits of tokens that may not come next to -infinity. When the text so far is
  // complete, tokens that end the answer stay allowed.
  virtual void Mask(std::span<float> logits) = 0;
  // The token that was taken: one that Mask left.
  virtual void Accept(int32_t token) = 0;
};

}  // namespace fastvlm

#endif  // FASTVLM_GRAMMAR_TOKEN_CONSTRAINT_H_
