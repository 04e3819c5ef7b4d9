#include "grammar/matcher.h"

#include <algorithm>
#include <set>
#include <utility>

namespace fastvlm::grammar {
namespace {

// Limit on the kept positions and masks of one grammar. A mask of 151,936 tokens takes 19 KB.
constexpr size_t kMaxKeptBytes = size_t{32} << 20;
// The most stacks that a position holds. Beyond them some are left out. That allows fewer texts,
// but never leads to a dead end, because each stack can be completed.
constexpr size_t kMaxStacks = 512;

constexpr int32_t kUnknown = -2;
constexpr int32_t kDead = -1;

// Calls visit(stack) for each stack of a position.
template <typename Visit>
void ForEachStack(const Position& position, Visit&& visit) {
  size_t i = Matcher::MayEnd(position) ? 1 : 0;
  while (i < position.size()) {
    const size_t depth = static_cast<size_t>(position[i]);
    visit(position.begin() + static_cast<ptrdiff_t>(i + 1),
          position.begin() + static_cast<ptrdiff_t>(i + 1 + depth));
    i += 1 + depth;
  }
}

}  // namespace

size_t Matcher::Hash::operator()(const Position& position) const {
  uint64_t hash = 0x9E3779B97F4A7C15u;
  for (const StateId id : position) {
    hash = (hash ^ static_cast<uint64_t>(id)) * 0xBF58476D1CE4E5B9u;
    hash ^= hash >> 29;
  }
  return static_cast<size_t>(hash);
}

Matcher::Matcher(Network network, std::shared_ptr<const TokenIndex> tokens)
    : network_(std::move(network)), tokens_(std::move(tokens)) {
  start_ = Close({{network_.start()}});
}

// Follows free edges, calls and returns until a byte has to be read, and gives the stacks that are
// reached so. A state is entered only if the network can be completed from there within kMaxDepth.
Position Matcher::Close(std::vector<Stack> stacks) const {
  bool may_end = false;
  std::set<Stack> seen;
  std::set<Stack> closed;
  const auto add = [&](Stack stack) {
    const int open = static_cast<int>(stack.size()) - 1;
    if (open + network_.state(stack.back()).need > kMaxDepth) return;
    if (seen.size() < 8 * kMaxStacks && seen.insert(stack).second) {
      stacks.push_back(std::move(stack));
    }
  };
  for (const Stack& stack : stacks) seen.insert(stack);
  while (!stacks.empty()) {
    Stack stack = std::move(stacks.back());
    stacks.pop_back();
    const State& top = network_.state(stack.back());
    if (!top.bytes.empty() && closed.size() < kMaxStacks) closed.insert(stack);
    if (top.final) {
      if (stack.size() == 1) {
        may_end = true;
      } else {
        add(Stack(stack.begin(), stack.end() - 1));
      }
    }
    for (const StateId target : top.free) {
      Stack next = stack;
      next.back() = target;
      add(std::move(next));
    }
    for (const CallEdge& call : top.calls) {
      Stack next = stack;
      next.back() = call.start;
      if (!network_.state(call.return_to).only_final()) {
        if (static_cast<int>(stack.size()) - 1 + network_.state(call.return_to).need > kMaxDepth) {
          continue;
        }
        next.back() = call.return_to;
        next.push_back(call.start);
      }
      add(std::move(next));
    }
  }
  Position position;
  if (may_end) position.push_back(-1);
  for (const Stack& stack : closed) {
    position.push_back(static_cast<StateId>(stack.size()));
    position.insert(position.end(), stack.begin(), stack.end());
  }
  return position;
}

Position Matcher::Step(const Position& position, uint8_t byte) const {
  std::vector<Stack> stacks;
  ForEachStack(position, [&](auto begin, auto end) {
    const int open = static_cast<int>(end - begin) - 1;
    for (const ByteEdge& edge : network_.state(*(end - 1)).bytes) {
      if (byte < edge.low || byte > edge.high) continue;
      if (open + network_.state(edge.target).need > kMaxDepth) continue;
      Stack next(begin, end);
      next.back() = edge.target;
      if (std::find(stacks.begin(), stacks.end(), next) == stacks.end()) {
        stacks.push_back(std::move(next));
      }
    }
  });
  if (stacks.empty()) return {};
  return Close(std::move(stacks));
}

int32_t Matcher::Intern(Position position) const {
  if (position.empty()) return kDead;
  const auto found = ids_.find(position);
  if (found != ids_.end()) return found->second;
  // Room first: were the second step to fail for want of memory, an id without a node would stay.
  const auto id = static_cast<int32_t>(nodes_.size());
  Node& node = nodes_.emplace_back();
  const auto entry = ids_.try_emplace(std::move(position), id).first;
  node.position = &entry->first;
  bytes_ += sizeof(Node) + entry->first.size() * sizeof(StateId) + 64;
  return id;
}

int32_t Matcher::Next(int32_t node, uint8_t byte) const {
  Node& from = nodes_[static_cast<size_t>(node)];
  if (from.next.empty()) {
    from.next.assign(static_cast<size_t>(network_.classes()), kUnknown);
    bytes_ += from.next.size() * sizeof(int32_t);
  }
  int32_t& next = from.next[network_.ClassOf(byte)];
  if (next == kUnknown) next = Intern(Step(*from.position, byte));
  return next;
}

// Adds the tokens of `tree` that can follow `node`.
void Matcher::Walk(const TokenTree& tree, int32_t node, TokenMask& mask) const {
  if (node == kDead) return;
  path_.assign(static_cast<size_t>(tree.depth) + 1, kDead);
  path_[0] = node;
  const uint32_t count = static_cast<uint32_t>(tree.nodes.size());
  for (uint32_t i = 0; i < count;) {
    const TokenTree::Node& branch = tree.nodes[i];
    const int32_t next = Next(path_[branch.depth], branch.byte);
    if (next == kDead) {
      i = branch.end;
      continue;
    }
    path_[branch.depth + size_t{1}] = next;
    for (uint32_t t = branch.tokens_begin; t < branch.tokens_end; ++t) {
      AddToMask(tree.tokens[t], mask);
    }
    ++i;
  }
}

// Most of a vocabulary is plain string content. Where a state is known to take it, these tokens are
// added at once, without a walk.
std::shared_ptr<const TokenMask> Matcher::ComputeMask(int32_t node) const {
  const Position& position = *nodes_[static_cast<size_t>(node)].position;
  auto mask = std::make_shared<TokenMask>(tokens_->EmptyMask());
  int plain = 0;
  Position unknown;
  ForEachStack(position, [&](auto begin, auto end) {
    // Characters beyond ASCII need one more call, for which there must be room.
    const bool deep = end - begin > kMaxDepth;
    const int characters = deep ? 0 : network_.state(*(end - 1)).plain_characters;
    plain = std::max(plain, characters);
    if (characters > 0) return;
    unknown.push_back(static_cast<StateId>(end - begin));
    unknown.insert(unknown.end(), begin, end);
  });
  if (plain > 0) tokens_->AddPlain(plain, *mask);
  if (!unknown.empty()) Walk(tokens_->plain_tree, Intern(std::move(unknown)), *mask);
  Walk(tokens_->other_tree, node, *mask);
  if (MayEnd(position)) {
    for (const int32_t id : tokens_->eos_ids) AddToMask(id, *mask);
  }
  bytes_ += mask->size() * sizeof(uint64_t);
  return mask;
}

void Matcher::ForgetIfLarge() const {
  if (bytes_ <= kMaxKeptBytes) return;
  nodes_.clear();
  ids_.clear();
  bytes_ = 0;
}

std::shared_ptr<const TokenMask> Matcher::Mask(const Position& position) const {
  const std::lock_guard lock(mutex_);
  ForgetIfLarge();
  const int32_t id = Intern(position);
  std::shared_ptr<const TokenMask> mask = nodes_[static_cast<size_t>(id)].mask;
  if (mask == nullptr) {
    mask = ComputeMask(id);
    nodes_[static_cast<size_t>(id)].mask = mask;
  }
  return mask;
}

Position Matcher::Advance(const Position& position, std::string_view bytes) const {
  const std::lock_guard lock(mutex_);
  ForgetIfLarge();
  int32_t node = Intern(position);
  for (const char c : bytes) {
    if (node == kDead) return {};
    node = Next(node, static_cast<uint8_t>(c));
  }
  return node == kDead ? Position() : *nodes_[static_cast<size_t>(node)].position;
}

}  // namespace fastvlm::grammar
