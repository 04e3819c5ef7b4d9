#include <algorithm>
#include <vector>

#include "base/file.h"
#include "base/printable.h"
#include "base/status.h"
#include "text/added_tokens.h"
#include "text/unicode.h"
#include "text/word_splitter.h"
#include "train/tokenizer/bpe_trainer.h"
#include "train/tokenizer/special_tokens.h"

namespace fastvlm::train {
namespace {

constexpr size_t kMaxCorpusBytes = size_t{1} << 30;

AddedTokenMatcher MakeMatcher() {
  std::vector<AddedToken> tokens;
  for (const std::string_view content : kSpecialTokens) {
    tokens.push_back({.id = static_cast<int32_t>(tokens.size()),
                      .content = std::string(content),
                      .special = true});
  }
  return AddedTokenMatcher(std::move(tokens));
}

}  // namespace

void WordCounts::AddLine(std::string_view line) {
  static const AddedTokenMatcher kMatcher = MakeMatcher();
  kMatcher.Split(
      line,
      [this](std::string_view text) {
        AddText(text);
        return true;
      },
      [](int32_t) { return true; });
}

void WordCounts::AddText(std::string_view text) {
  const std::string normalized = NormalizeNfc(text);
  const std::u32string code_points = ToCodePoints(normalized);
  size_t byte = 0;
  for (size_t start = 0; start < code_points.size();) {
    const size_t end = WordEnd(code_points, start);
    size_t bytes = 0;
    for (; start < end; ++start) bytes += Utf8Length(code_points[start]);
    if (bytes > kMaxWordBytes) {
      ++too_long_;
    } else {
      ++counts_[normalized.substr(byte, bytes)];
      ++total_;
    }
    byte += bytes;
  }
}

Result<WordCounts> CountWords(const std::string& path) {
  FASTVLM_ASSIGN_OR_RETURN(const std::string text,
                           ReadTextFile(path, kMaxCorpusBytes, FileKind::kAny));
  WordCounts words;
  size_t number = 0;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::string_view line = std::string_view(text).substr(start, end - start);
    start = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!IsValidUtf8(line)) {
      return Error(StatusCode::kDataError,
                   "{}:{}: expected UTF-8 text, found {}; convert the file, for example with iconv",
                   path, number, Quoted(ReplaceInvalidUtf8(line)));
    }
    words.AddLine(line);
  }
  if (words.total() == 0) {
    return Error(StatusCode::kDataError, "{}: no words; expected text, one sentence on each line",
                 path);
  }
  return words;
}

}  // namespace fastvlm::train
