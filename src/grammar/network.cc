#include "grammar/network.h"

#include <algorithm>

namespace fastvlm::grammar {

StateId Network::AddState() {
  if (states_.size() >= kMaxStates) {
    full_ = true;
    return 0;
  }
  states_.emplace_back();
  return static_cast<StateId>(states_.size() - 1);
}

void Network::AddBytes(StateId from, uint8_t low, uint8_t high, StateId to) {
  state(from).bytes.push_back({low, high, to});
}

void Network::AddCall(StateId from, StateId start, StateId return_to) {
  state(from).calls.push_back({start, return_to});
}

StateId Network::AddText(StateId from, std::string_view text) {
  for (const char c : text) {
    const StateId next = AddState();
    AddByte(from, static_cast<uint8_t>(c), next);
    from = next;
  }
  return from;
}

void Network::AddToTree(StateId from, std::string_view text, StateId to) {
  for (size_t i = 0; i < text.size(); ++i) {
    const uint8_t byte = static_cast<uint8_t>(text[i]);
    if (i + 1 == text.size()) {
      AddByte(from, byte, to);
      return;
    }
    const std::vector<ByteEdge>& edges = state(from).bytes;
    const auto edge = std::find_if(edges.begin(), edges.end(), [&](const ByteEdge& candidate) {
      return candidate.low == byte && candidate.target != to;
    });
    StateId next;
    if (edge != edges.end()) {
      next = edge->target;
    } else {
      next = AddState();
      AddByte(from, byte, next);
    }
    from = next;
  }
}

// What `state` needs, from the needs of the states that it leads to, as far as these are known.
int Network::NeedOf(const State& state) const {
  if (state.final) return 0;
  int need = kNever;
  const auto of = [&](StateId id) { return states_[static_cast<size_t>(id)].need; };
  for (const ByteEdge& edge : state.bytes) need = std::min(need, of(edge.target));
  for (const StateId target : state.free) need = std::min(need, of(target));
  for (const CallEdge& call : state.calls) {
    const int start = of(call.start);
    const int end = of(call.return_to);
    if (start > kMaxDepth || end > kMaxDepth) continue;
    const bool tail = this->state(call.return_to).only_final();
    need = std::min(need, std::max(tail ? start : start + 1, end));
  }
  return need > kMaxDepth ? kNever : need;
}

// Works backwards from the ends. A state's need can only fall, so that this comes to an end, and
// what is left then are the least needs.
void Network::ComputeNeeds() {
  std::vector<std::vector<StateId>> users(states_.size());
  const auto use = [&](StateId user, StateId used) {
    users[static_cast<size_t>(used)].push_back(user);
  };
  std::vector<StateId> work;
  for (StateId id = 0; id < static_cast<StateId>(states_.size()); ++id) {
    State& from = state(id);
    from.need = kNever;
    for (const ByteEdge& edge : from.bytes) use(id, edge.target);
    for (const StateId target : from.free) use(id, target);
    for (const CallEdge& call : from.calls) {
      use(id, call.start);
      use(id, call.return_to);
    }
    if (from.final) work.push_back(id);
  }
  while (!work.empty()) {
    State& changed = state(work.back());
    const StateId id = work.back();
    work.pop_back();
    const int need = NeedOf(changed);
    if (need >= changed.need) continue;
    changed.need = need;
    const std::vector<StateId>& all = users[static_cast<size_t>(id)];
    work.insert(work.end(), all.begin(), all.end());
  }
}

void Network::RemoveDeadEdges() {
  const auto dead = [&](StateId id) { return state(id).need == kNever; };
  for (State& from : states_) {
    std::erase_if(from.bytes, [&](const ByteEdge& edge) { return dead(edge.target); });
    std::erase_if(from.free, dead);
    std::erase_if(from.calls,
                  [&](const CallEdge& call) { return dead(call.start) || dead(call.return_to); });
  }
}

void Network::ComputeClasses() {
  std::array<bool, 257> begins{};
  begins[0] = true;
  for (const State& from : states_) {
    for (const ByteEdge& edge : from.bytes) begins[edge.low] = begins[edge.high + 1] = true;
  }
  int current = -1;
  for (size_t byte = 0; byte < 256; ++byte) {
    if (begins[byte]) ++current;
    class_of_[byte] = static_cast<uint8_t>(current);
  }
  classes_ = current + 1;
}

bool Network::Finish(StateId start) {
  start_ = start;
  ComputeNeeds();
  RemoveDeadEdges();
  ComputeClasses();
  return state(start).need != kNever;
}

}  // namespace fastvlm::grammar
