// Follows a network over bytes and tells which tokens may come next.
#ifndef FASTVLM_GRAMMAR_MATCHER_H_
#define FASTVLM_GRAMMAR_MATCHER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/network.h"
#include "grammar/token_index.h"

namespace fastvlm::grammar {

// Everything that the text so far can stand for. Each possibility is a stack of open calls with the
// state that each call is in, written as its depth and then its states, the outermost first. The
// stacks are sorted and stand one after the other; -1 stands before them if the text may end here.
using Position = std::vector<StateId>;

// Computes positions, the transitions between them and their masks when they are first asked for,
// and keeps them. Thread-safe.
class Matcher {
 public:
  // network: one on which Finish was called.
  Matcher(Network network, std::shared_ptr<const TokenIndex> tokens);

  const Position& start() const { return start_; }
  // The tokens that may come next, as bits; those of `eos_ids` are among them if the text may end.
  // At least one bit is set.
  std::shared_ptr<const TokenMask> Mask(const Position& position) const;
  // The position after `bytes`; it is empty if they cannot come next.
  Position Advance(const Position& position, std::string_view bytes) const;
  static bool MayEnd(const Position& position) { return !position.empty() && position[0] < 0; }

  const TokenIndex& tokens() const { return *tokens_; }
  const Network& network() const { return network_; }

 private:
  using Stack = std::vector<StateId>;
  struct Node {
    const Position* position;
    std::vector<int32_t> next;  // by the class of the byte; empty until one is asked for
    std::shared_ptr<const TokenMask> mask;
  };
  struct Hash {
    size_t operator()(const Position& position) const;
  };

  Position Close(std::vector<Stack> stacks) const;
  Position Step(const Position& position, uint8_t byte) const;
  int32_t Intern(Position position) const;
  int32_t Next(int32_t node, uint8_t byte) const;
  void Walk(const TokenTree& tree, int32_t node, TokenMask& mask) const;
  std::shared_ptr<const TokenMask> ComputeMask(int32_t node) const;
  void ForgetIfLarge() const;

  const Network network_;
  const std::shared_ptr<const TokenIndex> tokens_;
  Position start_;

  mutable std::mutex mutex_;  // of everything below
  mutable std::unordered_map<Position, int32_t, Hash> ids_;
  mutable std::deque<Node> nodes_;
  mutable size_t bytes_ = 0;           // what positions and masks take, roughly
  mutable std::vector<int32_t> path_;  // used by Walk
};

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_MATCHER_H_
