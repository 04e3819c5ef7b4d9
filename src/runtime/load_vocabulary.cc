#include "runtime/load_vocabulary.h"

#include "base/printable.h"

namespace fastvlm {
namespace {

Result<Vocabulary> FromStored(const StoredTokenizer& stored) {
  Vocabulary vocabulary;
  vocabulary.tokens.reserve(stored.tokens.size());
  for (size_t id = 0; id < stored.tokens.size(); ++id) {
    const std::string_view token = stored.tokens[id];
    const StoredTokenKind kind = stored.kinds[id];
    if (kind == StoredTokenKind::kUnused) continue;
    if (kind == StoredTokenKind::kNormal) {
      const auto [other, is_new] = vocabulary.tokens.emplace(token, static_cast<int32_t>(id));
      if (!is_new) {
        return Error(StatusCode::kDataError, "{}: token {} has two ids, {} and {}: corrupt?",
                     stored.path, Quoted(token), other->second, id);
      }
      continue;
    }
    AddedToken added;
    added.id = static_cast<int32_t>(id);
    added.content = token;
    added.special = kind == StoredTokenKind::kSpecial;
    vocabulary.added_tokens.push_back(std::move(added));
  }
  FASTVLM_RETURN_IF_ERROR(CheckAddedTokenCount(vocabulary.added_tokens.size(), stored.path));
  vocabulary.merges.reserve(stored.merges.size());
  for (const std::string_view merge : stored.merges) {
    FASTVLM_ASSIGN_OR_RETURN(auto pair, ParseMerge(merge, stored.path, vocabulary.merges.size()));
    vocabulary.merges.push_back(std::move(pair));
  }
  return vocabulary;
}

}  // namespace

Result<Vocabulary> LoadVocabulary(const Checkpoint& checkpoint, const std::string& directory) {
  if (checkpoint.tokenizer()) return FromStored(*checkpoint.tokenizer());
  return ReadVocabulary(directory);
}

}  // namespace fastvlm
