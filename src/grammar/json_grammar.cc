#include "grammar/json_grammar.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "grammar/compiler.h"
#include "grammar/matcher.h"
#include "grammar/token_index.h"

namespace fastvlm {

using grammar::Matcher;
using grammar::Network;
using grammar::Position;
using grammar::TokenIndex;
using grammar::TokenMask;

class JsonGrammar {
 public:
  JsonGrammar(Network network, std::shared_ptr<const TokenIndex> tokens)
      : matcher(std::move(network), std::move(tokens)) {}

  const Matcher matcher;
};

namespace {

constexpr size_t kKeptGrammars = 16;

Result<std::shared_ptr<const JsonGrammar>> Compile(std::string_view schema_json,
                                                   std::shared_ptr<const TokenIndex> tokens,
                                                   grammar::StopFn stop) {
  FASTVLM_ASSIGN_OR_RETURN(Network network, grammar::CompileSchema(schema_json, std::move(stop)));
  return std::shared_ptr<const JsonGrammar>(
      std::make_shared<JsonGrammar>(std::move(network), std::move(tokens)));
}

void ApplyMask(const TokenMask& mask, std::span<float> logits) {
  constexpr float kNo = -std::numeric_limits<float>::infinity();
  const size_t words = std::min(mask.size(), logits.size() / 64);
  for (size_t i = 0; i < words; ++i) {
    const uint64_t word = mask[i];
    if (word == ~uint64_t{0}) continue;
    float* block = logits.data() + i * 64;
    if (word == 0) {
      std::fill_n(block, 64, kNo);
      continue;
    }
    for (size_t bit = 0; bit < 64; ++bit) {
      if ((word >> bit & 1) == 0) block[bit] = kNo;
    }
  }
  for (size_t i = words * 64; i < logits.size(); ++i) {
    const bool allowed = i / 64 < mask.size() && (mask[i / 64] >> (i % 64) & 1) != 0;
    if (!allowed) logits[i] = kNo;
  }
}

class JsonConstraint : public TokenConstraint {
 public:
  explicit JsonConstraint(std::shared_ptr<const JsonGrammar> grammar)
      : grammar_(std::move(grammar)), position_(grammar_->matcher.start()) {}

  void Mask(std::span<float> logits) override {
    ApplyMask(*grammar_->matcher.Mask(position_), logits);
  }

  void Accept(int32_t token) override {
    const Matcher& matcher = grammar_->matcher;
    const std::vector<int32_t>& ends = matcher.tokens().eos_ids;
    if (std::find(ends.begin(), ends.end(), token) != ends.end()) {
      FASTVLM_CHECK(Matcher::MayEnd(position_));
      position_ = {-1};  // nothing but another end
      return;
    }
    position_ = matcher.Advance(position_, matcher.tokens().Bytes(token));
    FASTVLM_CHECK(!position_.empty());
  }

 private:
  const std::shared_ptr<const JsonGrammar> grammar_;
  Position position_;
};

}  // namespace

Result<std::shared_ptr<const JsonGrammar>> CompileJsonSchema(std::string_view schema_json,
                                                             const Tokenizer& tokenizer,
                                                             std::span<const int32_t> eos_ids,
                                                             grammar::StopFn stop) {
  FASTVLM_ASSIGN_OR_RETURN(std::shared_ptr<const TokenIndex> tokens,
                           TokenIndex::Create(tokenizer, eos_ids));
  return Compile(schema_json, std::move(tokens), std::move(stop));
}

std::unique_ptr<TokenConstraint> NewConstraint(std::shared_ptr<const JsonGrammar> grammar) {
  return std::make_unique<JsonConstraint>(std::move(grammar));
}

GrammarCache::GrammarCache(const Tokenizer& tokenizer, std::span<const int32_t> eos_ids)
    : tokenizer_(tokenizer), eos_ids_(eos_ids.begin(), eos_ids.end()) {}
GrammarCache::~GrammarCache() = default;

std::shared_ptr<const JsonGrammar> GrammarCache::Find(std::string_view schema_json) {
  const auto found = std::find_if(used_.begin(), used_.end(),
                                  [&](const auto& entry) { return entry.first == schema_json; });
  if (found == used_.end()) return nullptr;
  used_.splice(used_.begin(), used_, found);
  return used_.front().second;
}

Result<std::shared_ptr<const JsonGrammar>> GrammarCache::Get(std::string_view schema_json,
                                                             grammar::StopFn stop) {
  std::shared_ptr<const TokenIndex> tokens;
  {
    const std::lock_guard lock(mutex_);
    if (auto found = Find(schema_json)) return found;
    if (tokens_ == nullptr) {
      FASTVLM_ASSIGN_OR_RETURN(tokens_, TokenIndex::Create(tokenizer_, eos_ids_));
    }
    tokens = tokens_;
  }
  // A schema can take seconds, for which the others do not wait.
  FASTVLM_ASSIGN_OR_RETURN(std::shared_ptr<const JsonGrammar> grammar,
                           Compile(schema_json, std::move(tokens), std::move(stop)));
  const std::lock_guard lock(mutex_);
  if (auto found = Find(schema_json)) return found;  // somebody else was quicker
  used_.emplace_front(schema_json, grammar);
  if (used_.size() > kKeptGrammars) used_.pop_back();
  return grammar;
}

Result<std::unique_ptr<TokenConstraint>> GrammarCache::Constraint(std::string_view schema_json,
                                                                  grammar::StopFn stop) {
  if (schema_json.empty()) return std::unique_ptr<TokenConstraint>();
  FASTVLM_ASSIGN_OR_RETURN(std::shared_ptr<const JsonGrammar> grammar,
                           Get(schema_json, std::move(stop)));
  return NewConstraint(std::move(grammar));
}

}  // namespace fastvlm
