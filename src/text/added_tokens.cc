#include "text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "text/unicode.h"

namespace fastvlm {
namespace {

bool IsSpaceCharacter(char32_t code_point) {
  const CharClass c = ClassOf(code_point);
  return c == CharClass::kSpace || c == CharClass::kNewline;
}

// Bytes of white space at the start of valid UTF-8.
size_t LeadingSpace(std::string_view text) {
  size_t size = 0;
  while (size < text.size()) {
    const Utf8Character character = FirstCharacter(text.substr(size));
    if (!IsSpaceCharacter(character.code_point)) break;
    size += character.length;
  }
  return size;
}

// Bytes of white space at the end of valid UTF-8.
size_t TrailingSpace(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t start = end - 1;
    while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80) --start;
    if (!IsSpaceCharacter(FirstCharacter(text.substr(start)).code_point)) break;
    end = start;
  }
  return text.size() - end;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  const auto less = [](const AddedToken& a, const AddedToken& b) { return a.content < b.content; };
  const auto same = [](const AddedToken& a, const AddedToken& b) { return a.content == b.content; };
  std::stable_sort(tokens_.begin(), tokens_.end(), less);
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end(), same), tokens_.end());
  for (const AddedToken& token : tokens_) {
    may_start_[static_cast<uint8_t>(token.content[0])] = true;
  }
}

const AddedToken* AddedTokenMatcher::LongestMatch(std::string_view text) const {
  const AddedToken* longest = nullptr;
  auto first = tokens_.begin();  // first..last: the tokens that begin with the bytes read so far
  auto last = tokens_.end();
  for (size_t depth = 0; first != last; ++depth) {
    if (first->content.size() == depth) longest = &*first++;
    if (depth == text.size()) break;
    const auto byte_at_depth = [depth](const AddedToken& token) {
      return static_cast<uint8_t>(token.content[depth]);
    };
    const auto byte = static_cast<uint8_t>(text[depth]);
    first = std::partition_point(first, last,
                                 [&](const AddedToken& t) { return byte_at_depth(t) < byte; });
    last = std::partition_point(first, last,
                                [&](const AddedToken& t) { return byte_at_depth(t) == byte; });
  }
  return longest;
}

bool AddedTokenMatcher::Split(std::string_view text,
                              const std::function<bool(std::string_view)>& on_text,
                              const std::function<bool(int32_t)>& on_token) const {
  size_t text_start = 0;
  size_t position = 0;
  while (position < text.size()) {
    const AddedToken* token = may_start_[static_cast<uint8_t>(text[position])]
                                  ? LongestMatch(text.substr(position))
                                  : nullptr;
    if (token == nullptr) {
      ++position;
      continue;
    }
    std::string_view before = text.substr(text_start, position - text_start);
    if (token->lstrip) before.remove_suffix(TrailingSpace(before));
    if (!before.empty() && !on_text(before)) return false;
    if (!on_token(token->id)) return false;
    position += token->content.size();
    if (token->rstrip) position += LeadingSpace(text.substr(position));
    text_start = position;
  }
  return text_start == text.size() || on_text(text.substr(text_start));
}

}  // namespace fastvlm
