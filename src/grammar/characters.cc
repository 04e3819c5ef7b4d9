#include "grammar/characters.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "grammar/network.h"

namespace fastvlm::grammar {
namespace {

constexpr char32_t kFirstSurrogate = 0xD800;
constexpr char32_t kLastSurrogate = 0xDFFF;
constexpr size_t kMaxParts = 20'000;     // states before the automaton is made deterministic
constexpr size_t kMaxAutomaton = 8'000;  // states afterwards
constexpr size_t kMaxAutomatonSteps = 10'000'000;  // steps of making it so
constexpr size_t kMaxAutomatonEdges = 1'000'000;

// Thompson's construction: each part has one entry and one exit.
struct Part {
  std::vector<int> free;
  int set = -1;
  int target = -1;
};

class PartBuilder {
 public:
  std::vector<Part> parts;
  std::vector<const CharSet*> sets;
  bool full = false;

  int Add() {
    if (parts.size() >= kMaxParts) {
      full = true;
      return 0;
    }
    parts.emplace_back();
    return static_cast<int>(parts.size()) - 1;
  }

  // Adds `expression`, entered at `from`, and returns its exit.
  int Build(const Expression& expression, int from) {
    if (full) return from;
    switch (expression.kind) {
      case Expression::Kind::kSet: {
        const int to = Add();
        const int edge = Add();
        if (full) return from;
        parts[static_cast<size_t>(from)].free.push_back(edge);
        parts[static_cast<size_t>(edge)].set = static_cast<int>(sets.size());
        parts[static_cast<size_t>(edge)].target = to;
        sets.push_back(&expression.set);
        return to;
      }
      case Expression::Kind::kSequence:
        for (const Expression& part : expression.parts) from = Build(part, from);
        return from;
      case Expression::Kind::kChoice: {
        const int to = Add();
        for (const Expression& part : expression.parts) {
          const int begin = Add();
          Free(from, begin);
          Free(Build(part, begin), to);
        }
        return to;
      }
      case Expression::Kind::kRepeat:
        return BuildRepeat(expression, from);
    }
    return from;
  }

 private:
  void Free(int from, int to) {
    if (!full) parts[static_cast<size_t>(from)].free.push_back(to);
  }

  int BuildRepeat(const Expression& expression, int from) {
    const Expression& part = expression.parts[0];
    for (int i = 0; i < expression.min && !full; ++i) from = Build(part, from);
    if (expression.max == kUnlimited) {
      const int loop = Add();
      Free(from, loop);
      Free(Build(part, loop), loop);
      const int to = Add();
      Free(loop, to);
      return to;
    }
    const int to = Add();
    Free(from, to);
    for (int i = expression.min; i < expression.max && !full; ++i) {
      from = Build(part, from);
      Free(from, to);
    }
    return to;
  }
};

// Makes the automaton deterministic. Its states are the sets of parts that the same texts reach,
// together with the length of these texts as far as it matters.
class SubsetBuilder {
 public:
  // Parts from `refused_begin` on belong to what is refused, whose exit is `refused_exit`.
  SubsetBuilder(const PartBuilder& builder, int exit, int refused_begin, int refused_exit,
                int min_length, int max_length, Steps& steps)
      : steps_(steps),
        first_step_(steps.taken()),
        builder_(builder),
        exit_(exit),
        refused_begin_(refused_begin),
        refused_exit_(refused_exit),
        min_(min_length),
        max_(max_length) {}

  Result<CharAutomaton> Run() {
    CutAlphabet();
    if (!full_) StateOf({Closure({0}), 0});
    for (size_t id = 0; id < order_.size() && !full_; ++id) {
      full_ = full_ || order_.size() > kMaxAutomaton;
      if (!full_) Expand(id);
    }
    FASTVLM_RETURN_IF_ERROR(steps_.status());
    if (full_) return Error(StatusCode::kInvalidArgument, "too many different cases to follow");
    return WithoutDeadEnds();
  }

 private:
  struct Key {
    std::vector<int> parts;
    int length;
    bool operator<(const Key& other) const {
      return length != other.length ? length < other.length : parts < other.parts;
    }
  };

  // Counts steps; false, and full_, if they are too many.
  bool Step(size_t count = 1) {
    full_ = full_ || !steps_.Take(count) || steps_.taken() - first_step_ > kMaxAutomatonSteps;
    return !full_;
  }

  // Cuts the alphabet at the ends of all ranges, so that no set tells characters between two cuts
  // apart.
  void CutAlphabet() {
    std::set<char32_t> cuts;
    for (const CharSet* set : builder_.sets) {
      if (!Step(set->size())) return;
      for (const CharRange& range : *set) {
        cuts.insert(range.low);
        cuts.insert(range.high + 1);
      }
    }
    cuts_.assign(cuts.begin(), cuts.end());
    for (const CharSet* set : builder_.sets) {
      std::vector<int> pieces;
      for (const CharRange& range : *set) {
        if (full_) return;
        auto cut = std::lower_bound(cuts_.begin(), cuts_.end(), range.low);
        for (; *cut <= range.high && Step(); ++cut) {
          pieces.push_back(static_cast<int>(cut - cuts_.begin()));
        }
      }
      pieces_.push_back(std::move(pieces));
    }
  }

  std::vector<int> Closure(std::vector<int> work) {
    std::set<int> seen(work.begin(), work.end());
    Step(work.size());
    while (!work.empty() && !full_) {
      const int part = work.back();
      work.pop_back();
      for (const int next : builder_.parts[static_cast<size_t>(part)].free) {
        Step();
        if (seen.insert(next).second) work.push_back(next);
      }
    }
    // Parts that only lead to others are left out, so that equal states are found to be equal.
    std::erase_if(seen, [&](int part) {
      return part != exit_ && part != refused_exit_ &&
             builder_.parts[static_cast<size_t>(part)].set < 0;
    });
    return {seen.begin(), seen.end()};
  }

  int StateOf(Key key) {
    const auto [entry, is_new] = ids_.try_emplace(std::move(key), static_cast<int>(order_.size()));
    if (is_new) {
      order_.push_back(&entry->first);
      CharAutomaton::State state;
      const auto has = [parts = &entry->first.parts](int part) {
        return std::binary_search(parts->begin(), parts->end(), part);
      };
      state.accepting = entry->first.length >= min_ && has(exit_) && !has(refused_exit_);
      result_.states.push_back(std::move(state));
    }
    return entry->second;
  }

  void Expand(size_t id) {
    const Key& key = *order_[id];
    if (max_ != kUnlimited && key.length == max_) return;
    if (!key.parts.empty() && key.parts.front() >= refused_begin_) return;  // nothing is allowed
    const int counted = max_ == kUnlimited ? min_ : max_;
    const int length = std::min(key.length + 1, counted);
    std::map<int, std::vector<int>> targets;  // by piece of the alphabet
    for (const int part : key.parts) {
      const Part& from = builder_.parts[static_cast<size_t>(part)];
      if (from.set < 0) continue;
      for (const int piece : pieces_[static_cast<size_t>(from.set)]) {
        if (!Step()) return;
        targets[piece].push_back(from.target);
      }
    }
    std::map<std::vector<int>, int> known;  // states of equal targets
    for (auto& [piece, parts] : targets) {
      if (full_) return;
      auto [entry, is_new] = known.try_emplace(parts, 0);
      if (is_new) entry->second = StateOf({Closure(parts), length});
      const CharRange range = {cuts_[static_cast<size_t>(piece)],
                               cuts_[static_cast<size_t>(piece) + 1] - 1};
      std::vector<CharAutomaton::Edge>& edges = result_.states[id].edges;
      if (!edges.empty() && edges.back().target == entry->second &&
          edges.back().range.high + 1 == range.low) {
        edges.back().range.high = range.high;
      } else {
        edges.push_back({range, entry->second});
        full_ = full_ || ++edges_ > kMaxAutomatonEdges;
      }
    }
  }

  CharAutomaton WithoutDeadEnds() {
    std::vector<std::vector<int>> users(result_.states.size());
    std::vector<int> work;
    std::vector<bool> alive(result_.states.size());
    for (size_t id = 0; id < result_.states.size(); ++id) {
      for (const auto& edge : result_.states[id].edges) {
        users[static_cast<size_t>(edge.target)].push_back(static_cast<int>(id));
      }
      if (!result_.states[id].accepting) continue;
      alive[id] = true;
      work.push_back(static_cast<int>(id));
    }
    while (!work.empty()) {
      const int id = work.back();
      work.pop_back();
      for (const int user : users[static_cast<size_t>(id)]) {
        if (alive[static_cast<size_t>(user)]) continue;
        alive[static_cast<size_t>(user)] = true;
        work.push_back(user);
      }
    }
    if (!alive[0]) return {};
    for (CharAutomaton::State& state : result_.states) {
      std::erase_if(state.edges, [&](const CharAutomaton::Edge& edge) {
        return !alive[static_cast<size_t>(edge.target)];
      });
    }
    return std::move(result_);
  }

  Steps& steps_;
  const size_t first_step_;
  bool full_ = false;
  size_t edges_ = 0;
  const PartBuilder& builder_;
  const int exit_, refused_begin_, refused_exit_, min_, max_;
  std::vector<char32_t> cuts_;
  std::vector<std::vector<int>> pieces_;  // of each set
  std::map<Key, int> ids_;
  std::vector<const Key*> order_;
  CharAutomaton result_;
};

}  // namespace

CharSet Normalized(CharSet set) {
  std::sort(set.begin(), set.end(), [](const auto& a, const auto& b) { return a.low < b.low; });
  CharSet joined;
  const auto add = [&](char32_t low, char32_t high) {
    if (low > high) return;
    if (!joined.empty() && low <= joined.back().high + 1) {
      joined.back().high = std::max(joined.back().high, high);
    } else {
      joined.push_back({low, high});
    }
  };
  for (const CharRange& range : set) {
    add(range.low, std::min<char32_t>(range.high, kFirstSurrogate - 1));
    add(std::max<char32_t>(range.low, kLastSurrogate + 1), range.high);
  }
  return joined;
}

CharSet Complement(const CharSet& set) {
  CharSet rest;
  char32_t next = 0;
  for (const CharRange& range : set) {
    if (range.low > next) rest.push_back({next, range.low - 1});
    next = range.high + 1;
  }
  if (next <= kLastCharacter) rest.push_back({next, kLastCharacter});
  return Normalized(std::move(rest));
}

Expression Set(CharSet set) {
  Expression expression;
  expression.kind = Expression::Kind::kSet;
  expression.set = Normalized(std::move(set));
  return expression;
}

Expression Text(std::string_view ascii) {
  Expression expression;
  for (const char c : ascii) {
    const char32_t code = static_cast<unsigned char>(c);
    expression.parts.push_back(Set({{code, code}}));
  }
  return expression;
}

Expression Sequence(std::vector<Expression> parts) {
  Expression expression;
  expression.parts = std::move(parts);
  return expression;
}

Expression Choice(std::vector<Expression> parts) {
  Expression expression;
  expression.kind = Expression::Kind::kChoice;
  expression.parts = std::move(parts);
  return expression;
}

Expression Repeat(Expression part, int min, int max) {
  Expression expression;
  expression.kind = Expression::Kind::kRepeat;
  expression.parts.push_back(std::move(part));
  expression.min = min;
  expression.max = max;
  return expression;
}

Expression Optional(Expression part) { return Repeat(std::move(part), 0, 1); }

Result<CharAutomaton> BuildAutomaton(const Expression& expression, int min_length, int max_length,
                                     Steps& steps, const Expression& refused) {
  PartBuilder builder;
  builder.Add();
  const int exit = builder.Build(expression, 0);
  const int refused_begin = builder.Add();
  if (!builder.full) builder.parts[0].free.push_back(refused_begin);
  const int refused_exit = builder.Build(refused, refused_begin);
  if (builder.full) return Error(StatusCode::kInvalidArgument, "too long when written out");
  return SubsetBuilder(builder, exit, refused_begin, refused_exit, min_length, max_length, steps)
      .Run();
}

TextLengths LengthsOf(const Expression& expression) {
  const auto sum = [](int a, int b) {
    return a == kUnlimited || b == kUnlimited || a > kUnlimited - b ? kUnlimited : a + b;
  };
  const auto product = [](int length, int times) {
    if (length == 0 || times == 0) return 0;
    return length > kUnlimited / times ? kUnlimited : length * times;
  };
  if (expression.kind == Expression::Kind::kSet) return {1, 1};
  const bool choice = expression.kind == Expression::Kind::kChoice;
  TextLengths all = {choice && !expression.parts.empty() ? kUnlimited : 0, 0};
  for (const Expression& part : expression.parts) {
    const TextLengths one = LengthsOf(part);
    if (choice) {
      all = {std::min(all.shortest, one.shortest), std::max(all.longest, one.longest)};
    } else if (expression.kind == Expression::Kind::kRepeat) {
      all = {product(one.shortest, expression.min), product(one.longest, expression.max)};
    } else {
      all = {sum(all.shortest, one.shortest), sum(all.longest, one.longest)};
    }
  }
  return all;
}

bool Accepts(const CharAutomaton& automaton, const std::u32string& text) {
  if (automaton.states.empty()) return false;
  size_t at = 0;
  for (const char32_t c : text) {
    const auto& edges = automaton.states[at].edges;
    const auto edge = std::find_if(edges.begin(), edges.end(), [&](const auto& candidate) {
      return candidate.range.low <= c && c <= candidate.range.high;
    });
    if (edge == edges.end()) return false;
    at = static_cast<size_t>(edge->target);
  }
  return automaton.states[at].accepting;
}

}  // namespace fastvlm::grammar
