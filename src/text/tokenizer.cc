#include "text/tokenizer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/printable.h"
#include "text/byte_alphabet.h"
#include "text/stream_decoder.h"
#include "text/unicode.h"
#include "text/word_splitter.h"

namespace fastvlm {
namespace {

// All tokens in one map: those of the vocabulary and the added ones. A token may be in both.
Result<TokenMap> JoinTokens(const Vocabulary& vocabulary, const std::string& source) {
  TokenMap ids = vocabulary.tokens;
  for (const AddedToken& token : vocabulary.added_tokens) {
    if (token.content.empty()) {
      return Error(StatusCode::kDataError, "{}: added token {} has no content", source, token.id);
    }
    const auto [entry, is_new] = ids.emplace(token.content, token.id);
    if (!is_new && entry->second != token.id) {
      return Error(
          StatusCode::kDataError,
          "{}: token {} has two ids, {} and {}; the tokenizer files do not belong together", source,
          Quoted(token.content), entry->second, token.id);
    }
  }
  return ids;
}

// The spelling of each id; null for ids that are no token.
Result<std::vector<const std::string*>> IndexById(const TokenMap& ids, const std::string& source) {
  int32_t highest = -1;
  for (const auto& [spelling, id] : ids) {
    if (id < 0 || id > kMaxTokenId) {
      return Error(StatusCode::kDataError, "{}: token {}: expected an id in 0..{}, found {}",
                   source, Quoted(spelling), kMaxTokenId, id);
    }
    highest = std::max(highest, id);
  }
  std::vector<const std::string*> spellings(static_cast<size_t>(highest + 1), nullptr);
  for (const auto& [spelling, id] : ids) {
    if (spellings[id] != nullptr) {
      return Error(StatusCode::kDataError,
                   "{}: id {} belongs to two tokens, {} and {}; the tokenizer files are damaged or "
                   "do not belong together",
                   source, id, Quoted(*spellings[id]), Quoted(spelling));
    }
    spellings[id] = &spelling;
  }
  return spellings;
}

Result<std::array<int32_t, 256>> FindByteTokens(const TokenMap& tokens, const std::string& source) {
  std::array<int32_t, 256> byte_tokens{};
  for (int byte = 0; byte < 256; ++byte) {
    const std::string spelling = SpellByte(static_cast<uint8_t>(byte));
    const auto token = tokens.find(spelling);
    if (token == tokens.end()) {
      return Error(StatusCode::kDataError,
                   "{}: expected a token for each of the 256 bytes, found none for byte 0x{:02X} "
                   "(\"{}\"); this is not a byte-level vocabulary, or it is damaged",
                   source, byte, spelling);
    }
    byte_tokens[byte] = token->second;
  }
  return byte_tokens;
}

Status AddMerges(const Vocabulary& vocabulary, const std::string& source,
                 BytePairEncoder* encoder) {
  encoder->Reserve(vocabulary.merges.size());
  std::string joined;
  for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    const auto& [left, right] = vocabulary.merges[rank];
    joined = left;
    joined += right;
    int32_t ids[3];
    const std::string* spellings[3] = {&left, &right, &joined};
    for (int i = 0; i < 3; ++i) {
      const auto token = vocabulary.tokens.find(*spellings[i]);
      if (token == vocabulary.tokens.end()) {
        return Error(StatusCode::kDataError,
                     "{}: merge {} ({} {}): {} is not in the vocabulary; vocabulary and merges are "
                     "damaged or do not belong together",
                     source, rank, Quoted(left), Quoted(right), Quoted(*spellings[i]));
      }
      ids[i] = token->second;
    }
    encoder->AddMerge(ids[0], ids[1], static_cast<uint32_t>(rank), ids[2]);
  }
  return {};
}

// Normalisation makes no text shorter than to this fraction: three bytes of the Kelvin sign become
// one, the nine of three Hangul letters three, and in no composition of several characters, each of
// which may shrink so, is the loss greater (tokenizer_limit_test.cc tries all).
constexpr size_t kMostNfcShrinkage = 4;

// Texts are normalised and split in pieces of about this size.
constexpr size_t kPieceBytes = size_t{1} << 14;

bool IsAsciiLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsAscii(char c) { return static_cast<uint8_t>(c) < 0x80; }

// Whether the character before `at`, in valid UTF-8, is something else than white space.
bool EndsWithoutSpace(std::string_view text, size_t at) {
  size_t start = at - 1;
  while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80) --start;
  const CharClass c = ClassOf(FirstCharacter(text.substr(start)).code_point);
  return c != CharClass::kSpace && c != CharClass::kNewline;
}

// Whether the tokens of `text` are those of what stands before `at`, followed by those of the rest.
// An ASCII character is composed with nothing before it, and:
// - no word goes on from a letter or digit of ASCII to another kind of ASCII character, and which
//   one follows decides nothing about the words before;
// - no word goes on from anything but white space to a space.
bool IsBorder(std::string_view text, size_t at) {
  const char before = text[at - 1];
  const char after = text[at];
  if (!IsAscii(after)) return false;
  const bool after_word = IsAsciiLetter(before) || (before >= '0' && before <= '9');
  if (after_word && !IsAsciiLetter(after)) return true;
  return after == ' ' && EndsWithoutSpace(text, at);
}

// The first border from `at` on; the end if there is none.
size_t NextBorder(std::string_view text, size_t at) {
  while (at < text.size() && !IsBorder(text, at)) ++at;
  return std::min(at, text.size());
}

}  // namespace

Result<Tokenizer> Tokenizer::Load(const std::string& directory) {
  FASTVLM_ASSIGN_OR_RETURN(const Vocabulary vocabulary, ReadVocabulary(directory));
  return Create(vocabulary, directory);
}

Result<Tokenizer> Tokenizer::Create(const Vocabulary& vocabulary, const std::string& source) {
  FASTVLM_ASSIGN_OR_RETURN(auto byte_tokens, FindByteTokens(vocabulary.tokens, source));
  Tokenizer tokenizer(byte_tokens);
  FASTVLM_ASSIGN_OR_RETURN(tokenizer.ids_, JoinTokens(vocabulary, source));
  FASTVLM_ASSIGN_OR_RETURN(const auto spellings, IndexById(tokenizer.ids_, source));
  FASTVLM_RETURN_IF_ERROR(AddMerges(vocabulary, source, &tokenizer.encoder_));
  tokenizer.StoreBytes(spellings);
  tokenizer.StoreAddedTokens(vocabulary.added_tokens);
  return tokenizer;
}

void Tokenizer::StoreBytes(const std::vector<const std::string*>& spellings) {
  offsets_.reserve(spellings.size() + 1);
  offsets_.push_back(0);
  for (const std::string* spelling : spellings) {
    const size_t before = bytes_.size();
    if (spelling != nullptr) bytes_ += SpellingToBytes(*spelling);
    longest_token_ = std::max(longest_token_, bytes_.size() - before);
    offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
}

void Tokenizer::StoreAddedTokens(const std::vector<AddedToken>& tokens) {
  special_.resize(static_cast<size_t>(size()));
  std::vector<AddedToken> raw;
  std::vector<AddedToken> normalized;
  for (const AddedToken& token : tokens) {
    if (token.special) special_[token.id] = true;
    takes_spaces_ = takes_spaces_ || token.lstrip || token.rstrip;
    longest_token_ = std::max(longest_token_, token.content.size());
    if (token.normalized) {
      normalized.push_back(token);
      normalized.back().content = NormalizeNfc(token.content);
      longest_token_ = std::max(longest_token_, normalized.back().content.size());
    } else {
      raw.push_back(token);
    }
  }
  raw_tokens_ = AddedTokenMatcher(std::move(raw));
  normalized_tokens_ = AddedTokenMatcher(std::move(normalized));
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text) const {
  std::vector<int32_t> ids;
  EncodeUpTo(text, std::numeric_limits<size_t>::max(), &ids);
  return ids;
}

size_t Tokenizer::MostBytes(size_t tokens) const {
  const size_t per_token = longest_token_ * kMostNfcShrinkage;
  const size_t most = std::numeric_limits<size_t>::max();
  return takes_spaces_ || tokens > most / per_token ? most : tokens * per_token;
}

bool Tokenizer::EncodeUpTo(std::string_view text, size_t most, std::vector<int32_t>* ids) const {
  if (text.size() > MostBytes(most)) return false;
  std::string repaired;
  if (!IsValidUtf8(text)) {
    repaired = ReplaceInvalidUtf8(text);
    text = repaired;
  }
  const size_t before = ids->size();
  most += std::min(before, std::numeric_limits<size_t>::max() - most);
  return raw_tokens_.Split(
             text, [&](std::string_view plain) { return EncodePlain(plain, most, ids); },
             [&](int32_t id) {
               ids->push_back(id);
               return ids->size() <= most;
             }) &&
         ids->size() <= most;
}

bool Tokenizer::EncodePlain(std::string_view text, size_t most, std::vector<int32_t>* ids) const {
  // A token that is looked for in the normalised text could lie across the border of two pieces.
  if (!normalized_tokens_.empty()) return EncodeNormalized(NormalizeNfc(text), most, ids);
  while (!text.empty()) {
    const size_t end = NextBorder(text, kPieceBytes);
    if (!EncodeNormalized(NormalizeNfc(text.substr(0, end)), most, ids)) return false;
    text.remove_prefix(end);
  }
  return true;
}

bool Tokenizer::EncodeNormalized(std::string_view text, size_t most,
                                 std::vector<int32_t>* ids) const {
  return normalized_tokens_.Split(
      text, [&](std::string_view plain) { return EncodeWords(plain, most, ids); },
      [&](int32_t id) {
        ids->push_back(id);
        return ids->size() <= most;
      });
}

bool Tokenizer::EncodeWords(std::string_view text, size_t most, std::vector<int32_t>* ids) const {
  const std::u32string code_points = ToCodePoints(text);
  size_t byte_start = 0;
  for (size_t start = 0; start < code_points.size();) {
    const size_t end = WordEnd(code_points, start);
    size_t bytes = 0;
    for (; start < end; ++start) bytes += Utf8Length(code_points[start]);
    // The fewest tokens that the word can have are too many: this is known before the work, which
    // for a word of megabytes is a lot.
    if (ids->size() >= most || (bytes - 1) / longest_token_ >= most - ids->size()) return false;
    encoder_.Encode(text.substr(byte_start, bytes), ids);
    if (ids->size() > most) return false;
    byte_start += bytes;
  }
  return true;
}

std::string_view Tokenizer::TokenBytes(int32_t id) const {
  if (id < 0 || id >= size()) return {};
  const uint32_t start = offsets_[id];
  return std::string_view(bytes_).substr(start, offsets_[id + 1] - start);
}

std::string Tokenizer::Decode(std::span<const int32_t> ids, bool skip_special) const {
  StreamDecoder decoder(*this, skip_special);
  std::string text;
  for (const int32_t id : ids) text += decoder.Push(id);
  return text += decoder.Finish();
}

std::optional<int32_t> Tokenizer::TokenId(std::string_view spelling) const {
  const auto token = ids_.find(spelling);
  if (token == ids_.end()) return std::nullopt;
  return token->second;
}

bool Tokenizer::IsSpecial(int32_t id) const {
  return id >= 0 && id < size() && special_[static_cast<size_t>(id)];
}

}  // namespace fastvlm
