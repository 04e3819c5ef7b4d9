#include "grammar/token_index.h"

#include <algorithm>
#include <bitset>

#include "text/unicode.h"

namespace fastvlm::grammar {
namespace {

// Longer tokens are never offered; Qwen2's longest has 128 bytes.
constexpr size_t kMaxTokenBytes = 1024;

// The number of characters in `bytes` if these are plain string content, else 0.
int32_t PlainCharacters(std::string_view bytes) {
  int32_t characters = 0;
  while (!bytes.empty()) {
    const unsigned char first = static_cast<unsigned char>(bytes[0]);
    if (first < 0x20 || first == '"' || first == '\\') return 0;
    const Utf8Character character = FirstCharacter(bytes);
    if (character.kind != Utf8Kind::kValid) return 0;
    bytes.remove_prefix(character.length);
    ++characters;
  }
  return characters;
}

struct Entry {
  std::string_view bytes;
  int32_t token;
};

// entries: in the order of their bytes.
TokenTree BuildTree(const std::vector<Entry>& entries) {
  TokenTree tree;
  std::vector<uint32_t> path;  // from the root to the node of the token before
  std::string_view before;
  const auto close = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back()) {
      tree.nodes[path.back()].end = static_cast<uint32_t>(tree.nodes.size());
    }
  };
  for (const Entry& entry : entries) {
    const size_t limit = std::min(before.size(), entry.bytes.size());
    size_t shared = 0;
    while (shared < limit && before[shared] == entry.bytes[shared]) ++shared;
    close(shared);
    const uint32_t position = static_cast<uint32_t>(tree.tokens.size());
    for (size_t i = shared; i < entry.bytes.size(); ++i) {
      path.push_back(static_cast<uint32_t>(tree.nodes.size()));
      tree.nodes.push_back(
          {0, position, position, static_cast<uint16_t>(i), static_cast<uint8_t>(entry.bytes[i])});
    }
    tree.tokens.push_back(entry.token);
    tree.nodes[path.back()].tokens_end = position + 1;
    tree.depth = std::max(tree.depth, static_cast<int>(entry.bytes.size()));
    before = entry.bytes;
  }
  close(0);
  return tree;
}

}  // namespace

Result<std::shared_ptr<const TokenIndex>> TokenIndex::Create(const Tokenizer& tokenizer,
                                                             std::span<const int32_t> eos_ids) {
  auto index = std::make_shared<TokenIndex>();
  index->size = tokenizer.size();
  for (const int32_t id : eos_ids) {
    if (id >= 0 && id < index->size) index->eos_ids.push_back(id);
  }
  if (index->eos_ids.empty()) {
    return Error(StatusCode::kInvalidArgument,
                 "constrained output: the vocabulary has no token that ends an answer");
  }
  index->offsets.push_back(0);
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < index->size; ++id) {
    const std::string_view bytes = tokenizer.TokenBytes(id);
    index->bytes.insert(index->bytes.end(), bytes.begin(), bytes.end());
    index->offsets.push_back(static_cast<uint32_t>(index->bytes.size()));
    if (bytes.empty() || bytes.size() > kMaxTokenBytes || tokenizer.IsSpecial(id) ||
        std::find(eos_ids.begin(), eos_ids.end(), id) != eos_ids.end()) {
      continue;
    }
    ids.push_back(id);
  }
  index->all_plain = index->EmptyMask();
  std::vector<Entry> plain, other;
  std::bitset<256> single;
  for (const int32_t id : ids) {
    const std::string_view bytes = index->Bytes(id);
    if (bytes.size() == 1) single.set(static_cast<unsigned char>(bytes[0]));
    const int32_t characters = PlainCharacters(bytes);
    (characters > 0 ? plain : other).push_back({bytes, id});
    if (characters == 0) continue;
    index->plain.push_back({id, characters});
    AddToMask(id, index->all_plain);
  }
  if (!single.all()) {
    return Error(StatusCode::kDataError,
                 "constrained output: the vocabulary has a token of its own for only {} of the 256 "
                 "bytes",
                 single.count());
  }
  std::stable_sort(index->plain.begin(), index->plain.end(),
                   [](const auto& a, const auto& b) { return a.characters < b.characters; });
  for (std::vector<Entry>* entries : {&plain, &other}) {
    std::stable_sort(entries->begin(), entries->end(),
                     [](const Entry& a, const Entry& b) { return a.bytes < b.bytes; });
  }
  index->plain_tree = BuildTree(plain);
  index->other_tree = BuildTree(other);
  return std::shared_ptr<const TokenIndex>(std::move(index));
}

std::string_view TokenIndex::Bytes(int32_t token) const {
  if (token < 0 || token >= size) return {};
  const size_t i = static_cast<size_t>(token);
  return {bytes.data() + offsets[i], offsets[i + 1] - offsets[i]};
}

void TokenIndex::AddPlain(int characters, TokenMask& mask) const {
  if (plain.empty() || characters >= plain.back().characters) {
    for (size_t i = 0; i < mask.size(); ++i) mask[i] |= all_plain[i];
    return;
  }
  for (const PlainToken& token : plain) {
    if (token.characters > characters) return;
    AddToMask(token.token, mask);
  }
}

}  // namespace fastvlm::grammar
