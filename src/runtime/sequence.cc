#include "runtime/sequence.h"

#include <exception>
#include <new>

#include "base/out_of_memory.h"
#include "runtime/logprobs.h"

namespace fastvlm {
namespace {

TokenLogprob Describe(int32_t token, float logit, double log_sum, const Tokenizer& tokenizer) {
  return {token, std::string(tokenizer.TokenBytes(token)),
          static_cast<float>(double{logit} - log_sum)};
}

}  // namespace

void Sequence::Choose(std::span<float> logits, const Tokenizer& tokenizer) {
  token = chooser->Choose(logits, top_logprobs >= 0 ? &raw_logits : nullptr);
  if (token < 0 || top_logprobs < 0) return;
  const double log_sum = LogSumExp(raw_logits);
  logprob = Describe(token, raw_logits[static_cast<size_t>(token)], log_sum, tokenizer);
  alternatives.clear();
  for (const auto& [other, logit] : HighestLogits(raw_logits, top_logprobs)) {
    alternatives.push_back(Describe(other, logit, log_sum, tokenizer));
  }
}

Result<bool> Sequence::Tell(const EngineEvent& event) {
  constexpr MemoryUse kUse = {"the request's callback", "keep less of what it is told"};
  return CatchOutOfMemory(kUse, [&]() -> Result<bool> {
    try {
      return !callback || callback(event);
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& error) {
      return Error(StatusCode::kCancelled, "the request's callback threw an exception: {}",
                   error.what());
    } catch (...) {
      return Error(StatusCode::kCancelled, "the request's callback threw an exception");
    }
  });
}

}  // namespace fastvlm
