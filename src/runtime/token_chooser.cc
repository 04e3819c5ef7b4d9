#include "runtime/token_chooser.h"

#include <limits>
#include <utility>

#include "base/status.h"

namespace fastvlm {

Status NoFiniteLogit(const std::string& directory) {
  return Error(StatusCode::kDataError,
               "{}: the model produced no finite logit; its weights are damaged", directory);
}

TokenChooser::TokenChooser(const SamplingOptions& sampling, int64_t vocabulary,
                           std::span<const int32_t> banned,
                           std::unique_ptr<TokenConstraint> constraint)
    : banned_(banned), constraint_(std::move(constraint)), sampler_(sampling, vocabulary) {}

int32_t TokenChooser::Choose(std::span<float> logits, std::vector<float>* model_logits) {
  for (const int32_t id : banned_) {
    logits[static_cast<size_t>(id)] = -std::numeric_limits<float>::infinity();
  }
  if (model_logits != nullptr) model_logits->assign(logits.begin(), logits.end());
  if (constraint_ != nullptr) constraint_->Mask(logits);
  return sampler_.Next(logits);
}

void TokenChooser::Accept(int32_t token) {
  sampler_.Observe(token);
  if (constraint_ != nullptr) constraint_->Accept(token);
}

}  // namespace fastvlm
