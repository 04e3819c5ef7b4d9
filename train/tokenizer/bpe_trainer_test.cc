#include "train/tokenizer/bpe_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "support/temporary_directory.h"

namespace fastvlm::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using Merges = std::vector<std::pair<std::string, std::string>>;

WordCounts Count(const std::vector<std::string>& lines) {
  WordCounts words;
  for (const std::string& line : lines) words.AddLine(line);
  return words;
}

Merges BytesOfMerges(const BpeModel& model) {
  Merges merges;
  for (const auto& [left, right] : model.merges) {
    merges.emplace_back(model.tokens[left], model.tokens[right]);
  }
  return merges;
}

TEST(WordCounts, SplitsAsTheTokenizerDoes) {
  EXPECT_THAT(Count({"A cat, a \"CAT\".", "a cat"}).counts(),
              UnorderedElementsAre(Pair("A", 1), Pair(" cat", 2), Pair(",", 1), Pair(" a", 1),
                                   Pair(" \"", 1), Pair("CAT", 1), Pair("\".", 1), Pair("a", 1)));
  // Special tokens are no text; e and an accent are one letter.
  EXPECT_THAT(Count({"<|im_start|>user<image> e\u0301<|im_end|>"}).counts(),
              UnorderedElementsAre(Pair("user", 1), Pair(" \u00e9", 1)));
  const WordCounts long_word = Count({std::string(129, 'x') + " y " + std::string(127, 'z')});
  EXPECT_THAT(long_word.counts(),
              UnorderedElementsAre(Pair(" y", 1), Pair(" " + std::string(127, 'z'), 1)));
  EXPECT_EQ(long_word.too_long(), 1);
  EXPECT_EQ(long_word.total(), 2);
}

TEST(WordCounts, Files) {
  const TemporaryDirectory directory;
  directory.Write("good.txt", "a cat\r\n\na cat");
  const auto words = CountWords(directory.Path("good.txt"));
  ASSERT_TRUE(words.ok()) << words.status().message();
  EXPECT_THAT(words->counts(), UnorderedElementsAre(Pair("a", 2), Pair(" cat", 2)));

  directory.Write("bad.txt", "fine\nnot \xff fine\n");
  const Status bad = CountWords(directory.Path("bad.txt")).status();
  EXPECT_EQ(bad.code(), StatusCode::kDataError);
  EXPECT_THAT(bad.message(), HasSubstr("bad.txt:2: expected UTF-8"));
  for (const char* text : {"", "\n\r\n\n", "<|im_end|>\n"}) {
    directory.Write("empty.txt", text);
    const Status empty = CountWords(directory.Path("empty.txt")).status();
    EXPECT_EQ(empty.code(), StatusCode::kDataError);
    EXPECT_THAT(empty.message(), HasSubstr("empty.txt: no words"));
  }
  EXPECT_EQ(CountWords(directory.Path("missing.txt")).status().code(), StatusCode::kNotFound);
}

TEST(TrainBpe, BytesComeFirstInTheirOrder) {
  const BpeModel model = TrainBpe(Count({"x"}), {});
  ASSERT_EQ(model.tokens.size(), 256u);
  EXPECT_EQ(model.tokens[0], "!");
  EXPECT_EQ(model.tokens[93], "~");
  EXPECT_EQ(model.tokens[94], "\xa1");
  EXPECT_EQ(model.tokens[187], "\xff");
  EXPECT_EQ(model.tokens[188], std::string(1, '\0'));
  EXPECT_EQ(model.tokens[220], " ");
  EXPECT_EQ(model.tokens[255], "\xad");
  EXPECT_TRUE(model.merges.empty());
}

// "ab", " ab", " ab": the pair (a, b) occurs three times, but once at the start of a word;
// (space, a) twice.
TEST(TrainBpe, MergesByHand) {
  const WordCounts words = Count({"ab ab ab"});
  EXPECT_THAT(BytesOfMerges(TrainBpe(words, {.rule = MergeRule::kAnywhere})),
              ElementsAre(Pair("a", "b"), Pair(" ", "ab")));
  EXPECT_THAT(BytesOfMerges(TrainBpe(words, {})), ElementsAre(Pair(" ", "a"), Pair(" a", "b")));
  EXPECT_THAT(BytesOfMerges(TrainBpe(words, {.min_count = 1})),
              ElementsAre(Pair(" ", "a"), Pair(" a", "b"), Pair("a", "b")));
  EXPECT_THAT(BytesOfMerges(TrainBpe(words, {.tokens = 257})), ElementsAre(Pair(" ", "a")));
  EXPECT_THAT(BytesOfMerges(TrainBpe(words, {.min_count = 3, .rule = MergeRule::kAnywhere})),
              ElementsAre(Pair("a", "b")));
}

// All four pairs occur twice; " " < " b" < "c", and "b" < "c".
TEST(TrainBpe, TiesGoByBytes) {
  const Merges expected = {{" ", "b"}, {" ", "c"}, {" b", "a"}, {" c", "a"}};
  for (const std::vector<std::string>& lines :
       {std::vector<std::string>{" ba ca ba ca"}, {" ca", " ca ba", " ba"}}) {
    EXPECT_EQ(BytesOfMerges(TrainBpe(Count(lines), {.rule = MergeRule::kAnywhere})), expected);
  }
}

// "aaaa" holds (a, a) three times and becomes "aa" "aa".
TEST(TrainBpe, RunsMergeFromTheLeft) {
  EXPECT_THAT(BytesOfMerges(TrainBpe(Count({"aaaa"}), {.rule = MergeRule::kAnywhere})),
              ElementsAre(Pair("a", "a")));
  EXPECT_THAT(
      BytesOfMerges(TrainBpe(Count({"aaaa"}), {.min_count = 1, .rule = MergeRule::kAnywhere})),
      ElementsAre(Pair("a", "a"), Pair("aa", "aa")));
}

// The same training without any bookkeeping: every word is merged from its bytes again after each
// step, and all pairs are counted anew.
Merges PlainTraining(const WordCounts& words, const BpeOptions& options) {
  Merges merges;
  std::map<std::string, int> tokens;
  while (256 + static_cast<int>(tokens.size()) < options.tokens) {
    std::map<std::pair<std::string, std::string>, int64_t> pairs;
    for (const auto& [word, count] : words.counts()) {
      std::vector<std::string> symbols;
      for (const char c : word) symbols.emplace_back(1, c);
      for (size_t rank = 0; rank < merges.size();) {
        bool merged = false;
        for (size_t i = 0; i + 1 < symbols.size(); ++i) {
          if (symbols[i] != merges[rank].first || symbols[i + 1] != merges[rank].second) continue;
          symbols[i] += symbols[i + 1];
          symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(i) + 1);
          merged = true;
        }
        rank = merged ? 0 : rank + 1;
      }
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        if (i > 0 && options.rule == MergeRule::kWordStart) break;
        pairs[{symbols[i], symbols[i + 1]}] += count;
      }
    }
    const auto best =
        std::max_element(pairs.begin(), pairs.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    if (best == pairs.end() || best->second < options.min_count) break;
    merges.push_back(best->first);
    ++tokens[best->first.first + best->first.second];
  }
  return merges;
}

TEST(TrainBpe, EqualsPlainTraining) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const int letters = 2 + static_cast<int>(seed % 4);  // few, so that pairs overlap and repeat
    WordCounts words;
    for (int i = 0; i < 60; ++i) {
      std::string line;
      const size_t length = 1 + random() % 9;
      for (size_t k = 0; k < length; ++k) line += static_cast<char>('a' + random() % letters);
      words.AddLine(random() % 2 == 0 ? line : " " + line);
    }
    for (const MergeRule rule : {MergeRule::kWordStart, MergeRule::kAnywhere}) {
      const BpeOptions options = {.tokens = 330, .min_count = 1 + seed % 3, .rule = rule};
      EXPECT_EQ(BytesOfMerges(TrainBpe(words, options)), PlainTraining(words, options));
    }
  }
}

}  // namespace
}  // namespace fastvlm::train
