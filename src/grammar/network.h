// A grammar over bytes as a recursive transition network: states with byte edges, free edges and
// calls of other states' sub-networks, which return when they reach a final state.
#ifndef FASTVLM_GRAMMAR_NETWORK_H_
#define FASTVLM_GRAMMAR_NETWORK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

namespace fastvlm::grammar {

using StateId = int32_t;

// The most states of one grammar: a limit on what a small hostile schema can make us build.
inline constexpr size_t kMaxStates = 100'000;
// The most calls that may be open at once. Each level of JSON nesting opens one call, and the
// innermost level two where it is at a key or a character of several bytes.
inline constexpr int kMaxDepth = 64;
inline constexpr int kUnlimited = std::numeric_limits<int>::max();
inline constexpr int kNever = std::numeric_limits<int>::max();

struct ByteEdge {
  uint8_t low, high;  // both included
  StateId target;
};

struct CallEdge {
  StateId start;
  StateId return_to;
};

struct State {
  std::vector<ByteEdge> bytes;
  std::vector<StateId> free;
  std::vector<CallEdge> calls;
  bool final = false;
  // So many characters of plain string content (no quote, backslash or control character) may come
  // next for certain, and each of them leads to a state with one less. 0: nothing is known.
  int plain_characters = 0;
  // The way from here to the end of the sub-network needs room for so many open calls at least;
  // kNever if the end cannot be reached.
  int need = kNever;

  // True if nothing can follow here. A call that returns here need not be remembered.
  bool only_final() const { return final && bytes.empty() && free.empty() && calls.empty(); }
};

class Network {
 public:
  // After more than kMaxStates, full() is true and the network must not be used any more.
  StateId AddState();
  bool full() const { return full_; }
  size_t size() const { return states_.size(); }

  State& state(StateId id) { return states_[static_cast<size_t>(id)]; }
  const State& state(StateId id) const { return states_[static_cast<size_t>(id)]; }

  void AddByte(StateId from, uint8_t byte, StateId to) { AddBytes(from, byte, byte, to); }
  void AddBytes(StateId from, uint8_t low, uint8_t high, StateId to);
  void AddFree(StateId from, StateId to) { state(from).free.push_back(to); }
  void AddCall(StateId from, StateId start, StateId return_to);
  // Adds the edges of `text`, which is not empty, and returns the state behind it.
  StateId AddText(StateId from, std::string_view text);
  // Adds `text` to the tree of texts that begins at `from` and ends in `to`; texts that begin alike
  // share states. States of the tree have no other edges.
  void AddToTree(StateId from, std::string_view text, StateId to);

  // Computes `need`, removes every edge to a state from which no end can be reached, and sorts the
  // bytes into classes, so that no edge tells two bytes of one class apart. False if no end can be
  // reached from `start` with kMaxDepth calls.
  bool Finish(StateId start);

  StateId start() const { return start_; }
  int classes() const { return classes_; }
  uint8_t ClassOf(uint8_t byte) const { return class_of_[byte]; }

 private:
  int NeedOf(const State& state) const;
  void ComputeNeeds();
  void RemoveDeadEdges();
  void ComputeClasses();

  std::vector<State> states_;
  bool full_ = false;
  StateId start_ = 0;
  int classes_ = 0;
  std::array<uint8_t, 256> class_of_{};
};

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_NETWORK_H_
