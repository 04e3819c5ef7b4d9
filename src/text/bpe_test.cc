#include "text/bpe.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "support/random.h"

namespace fastvlm {
namespace {

std::array<int32_t, 256> IdentityBytes() {
  std::array<int32_t, 256> tokens{};
  for (int byte = 0; byte < 256; ++byte) tokens[byte] = byte;
  return tokens;
}

struct Merge {
  int32_t left;
  int32_t right;
  int32_t merged;
};

std::vector<int32_t> Encode(const std::vector<Merge>& merges, const std::string& word) {
  BytePairEncoder encoder(IdentityBytes());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    encoder.AddMerge(merges[rank].left, merges[rank].right, static_cast<uint32_t>(rank),
                     merges[rank].merged);
  }
  std::vector<int32_t> ids;
  encoder.Encode(word, &ids);
  return ids;
}

// The definition: merge the leftmost pair of lowest rank until there is none.
std::vector<int32_t> EncodeByDefinition(const std::vector<Merge>& merges, const std::string& word) {
  std::vector<int32_t> ids;
  for (const char byte : word) ids.push_back(static_cast<uint8_t>(byte));
  for (size_t rank = 0; rank < merges.size();) {
    size_t i = 0;
    while (i + 1 < ids.size() && (ids[i] != merges[rank].left || ids[i + 1] != merges[rank].right))
      ++i;
    if (i + 1 >= ids.size()) {
      ++rank;
      continue;
    }
    ids[i] = merges[rank].merged;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    rank = 0;
  }
  return ids;
}

TEST(BytePairEncoderTest, NothingToMerge) {
  EXPECT_EQ(Encode({}, ""), std::vector<int32_t>{});
  EXPECT_EQ(Encode({}, "a"), std::vector<int32_t>{'a'});
  EXPECT_EQ(Encode({},
                   "\xFF"
                   "b"),
            (std::vector<int32_t>{0xFF, 'b'}));
}

TEST(BytePairEncoderTest, LowestRankFirstThenLeftmost) {
  EXPECT_EQ(Encode({{'b', 'c', 300}, {'a', 'b', 301}}, "abc"), (std::vector<int32_t>{'a', 300}));
  EXPECT_EQ(Encode({{'a', 'a', 300}}, "aaa"), (std::vector<int32_t>{300, 'a'}));
  EXPECT_EQ(Encode({{'a', 'a', 300}, {300, 'a', 301}}, "aaaa"), (std::vector<int32_t>{300, 300}));
}

TEST(BytePairEncoderTest, LaterOfTwoEqualMergesCounts) {
  EXPECT_EQ(Encode({{'a', 'b', 300}, {'b', 'c', 301}, {'a', 'b', 300}}, "abc"),
            (std::vector<int32_t>{'a', 301}));
}

TEST(BytePairEncoderTest, EqualsTheDefinitionOnRandomMerges) {
  TestRandom random;
  for (int round = 0; round < 300; ++round) {
    // Token ids and the strings they stand for, so that equal strings are one token.
    std::map<std::string, int32_t> ids = {{"a", 'a'}, {"b", 'b'}, {"c", 'c'}};
    std::vector<std::string> spellings = {"a", "b", "c"};
    std::map<std::pair<int32_t, int32_t>, bool> used;
    std::vector<Merge> merges;
    for (int i = 0; i < 25; ++i) {
      const int last = static_cast<int>(spellings.size()) - 1;
      const std::string left = spellings[random.Integer(0, last)];
      const std::string right = spellings[random.Integer(0, last)];
      if (std::exchange(used[{ids[left], ids[right]}], true)) continue;
      const auto [entry, is_new] =
          ids.emplace(left + right, 300 + static_cast<int32_t>(ids.size()));
      if (is_new) spellings.push_back(left + right);
      merges.push_back({ids[left], ids[right], entry->second});
    }
    std::string word;
    for (int i = random.Integer(1, 40); i > 0; --i) {
      word.push_back(static_cast<char>('a' + random.Integer(0, 2)));
    }
    ASSERT_EQ(Encode(merges, word), EncodeByDefinition(merges, word)) << word;
  }
}

TEST(BytePairEncoderTest, AMegabyteOfOneLetterIsNotQuadratic) {
  const std::vector<Merge> merges = {{'a', 'a', 300}, {300, 300, 301}, {301, 301, 302}};
  const std::vector<int32_t> ids = Encode(merges, std::string((1 << 20) + 1, 'a'));
  ASSERT_EQ(ids.size(), (size_t{1} << 17) + 1);
  EXPECT_EQ(ids.front(), 302);
  EXPECT_EQ(ids.back(), 'a');
}

}  // namespace
}  // namespace fastvlm
