// Answers that have to be JSON texts following a JSON schema.
#ifndef FASTVLM_GRAMMAR_JSON_GRAMMAR_H_
#define FASTVLM_GRAMMAR_JSON_GRAMMAR_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "grammar/steps.h"
#include "grammar/token_constraint.h"
#include "text/tokenizer.h"

namespace fastvlm {

// A schema made ready for one vocabulary. Immutable to its users and thread-safe: what it works out
// on the way is kept for all constraints made from it, within 32 MiB.
class JsonGrammar;

// schema_json: "{}" allows any JSON value. What is supported stands in docs/STRUCTURED_OUTPUT.md;
// anything else is kInvalidArgument that names the keyword and its place. eos_ids: the tokens that
// end an answer, at least one. The tokenizer is not needed afterwards. Indexing a vocabulary of
// 151,936 tokens takes some tens of milliseconds each time: GrammarCache does it once. `stop` is
// asked again and again meanwhile; kCancelled once it says so.
Result<std::shared_ptr<const JsonGrammar>> CompileJsonSchema(std::string_view schema_json,
                                                             const Tokenizer& tokenizer,
                                                             std::span<const int32_t> eos_ids,
                                                             grammar::StopFn stop = {});

// Where an answer begins. From every state at least one token may follow.
std::unique_ptr<TokenConstraint> NewConstraint(std::shared_ptr<const JsonGrammar> grammar);

namespace grammar {
struct TokenIndex;
}

// The grammars of the schemas used last, for one vocabulary. Thread-safe.
class GrammarCache {
 public:
  // The tokenizer must outlive the cache.
  GrammarCache(const Tokenizer& tokenizer, std::span<const int32_t> eos_ids);
  ~GrammarCache();

  // As CompileJsonSchema. Nobody waits for the grammar of another schema.
  Result<std::shared_ptr<const JsonGrammar>> Get(std::string_view schema_json,
                                                 grammar::StopFn stop = {});
  // Where an answer that follows the schema begins; null if there is no schema ("").
  Result<std::unique_ptr<TokenConstraint>> Constraint(std::string_view schema_json,
                                                      grammar::StopFn stop = {});

 private:
  // The grammar that is kept, as the last that was used; null if there is none.
  std::shared_ptr<const JsonGrammar> Find(std::string_view schema_json);

  const Tokenizer& tokenizer_;
  const std::vector<int32_t> eos_ids_;
  std::mutex mutex_;  // of everything below
  std::shared_ptr<const grammar::TokenIndex> tokens_;
  std::list<std::pair<std::string, std::shared_ptr<const JsonGrammar>>> used_;  // the last first
};

}  // namespace fastvlm

#endif  // FASTVLM_GRAMMAR_JSON_GRAMMAR_H_
