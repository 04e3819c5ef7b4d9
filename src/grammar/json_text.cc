#include "grammar/json_text.h"

#include <map>
#include <nlohmann/json.hpp>

#include "grammar/numbers.h"
#include "text/unicode.h"

namespace fastvlm::grammar {
namespace {

// The characters of one byte that are plain string content.
constexpr CharRange kPlainAscii[] = {{0x20, 0x21}, {0x23, 0x5B}, {0x5D, 0x7F}};

}  // namespace

std::string QuotedJson(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

JsonText::JsonText(Network& network) : network_(network) {}

void JsonText::AddHexDigits(StateId from, int count, StateId to) {
  for (; count > 0; --count) {
    const StateId next = count == 1 ? to : network_.AddState();
    network_.AddBytes(from, '0', '9', next);
    network_.AddBytes(from, 'A', 'F', next);
    network_.AddBytes(from, 'a', 'f', next);
    from = next;
  }
}

// What follows "\u" in the escape of a character beyond 0xFFFF: two surrogates.
void JsonText::AddSurrogates(StateId from, StateId to) {
  const StateId d = network_.AddState();
  network_.AddByte(from, 'D', d);
  network_.AddByte(from, 'd', d);
  const StateId below = network_.AddState();
  network_.AddBytes(d, '0', '7', below);  // not a surrogate
  AddHexDigits(below, 2, to);
  const StateId high = network_.AddState();
  network_.AddBytes(d, '8', '9', high);
  network_.AddBytes(d, 'A', 'B', high);
  network_.AddBytes(d, 'a', 'b', high);
  const StateId half = network_.AddState();
  AddHexDigits(high, 2, half);
  const StateId again = network_.AddText(half, "\\u");
  const StateId second_d = network_.AddState();
  network_.AddByte(again, 'D', second_d);
  network_.AddByte(again, 'd', second_d);
  const StateId low = network_.AddState();
  network_.AddBytes(second_d, 'C', 'F', low);
  network_.AddBytes(second_d, 'c', 'f', low);
  AddHexDigits(low, 2, to);
}

// A sub-network for one character of more than one byte: one beyond ASCII, or an escape.
StateId JsonText::LongCharacter() {
  if (long_character_ >= 0) return long_character_;
  long_character_ = network_.AddState();
  const StateId end = network_.AddState();
  network_.state(end).final = true;
  AddUtf8(long_character_, 0x80, kLastCharacter, end);
  const StateId escape = network_.AddState();
  network_.AddByte(long_character_, '\\', escape);
  for (const char c : std::string_view("\"\\/bfnrt")) {
    network_.AddByte(escape, static_cast<uint8_t>(c), end);
  }
  const StateId code = network_.AddState();
  network_.AddByte(escape, 'u', code);
  AddSurrogates(code, end);
  const StateId first = network_.AddState();
  network_.AddBytes(code, '0', '9', first);
  network_.AddBytes(code, 'A', 'C', first);
  network_.AddBytes(code, 'E', 'F', first);
  network_.AddBytes(code, 'a', 'c', first);
  network_.AddBytes(code, 'e', 'f', first);
  AddHexDigits(first, 3, end);
  return long_character_;
}

void JsonText::AddString(StateId from, int min, int max, StateId to) {
  const StateId character = LongCharacter();
  StateId here = network_.AddState();
  network_.AddByte(from, '"', here);
  const int counted = max == kUnlimited ? min : max;
  for (int i = 0; i <= counted && !network_.full(); ++i) {
    if (i >= min) network_.AddByte(here, '"', to);
    if (max != kUnlimited && i == max) break;
    const StateId next = i == counted ? here : network_.AddState();
    for (const CharRange& range : kPlainAscii) {
      network_.AddBytes(here, static_cast<uint8_t>(range.low), static_cast<uint8_t>(range.high),
                        next);
    }
    network_.AddCall(here, character, next);
    network_.state(here).plain_characters = max == kUnlimited ? kUnlimited : max - i;
    here = next;
  }
}

void JsonText::AddUtf8(StateId from, char32_t low, char32_t high, StateId to) {
  if (low > high) return;
  if (low <= 0xDFFF && high >= 0xD800) {  // surrogates are no characters
    AddUtf8(from, low, 0xD7FF, to);
    AddUtf8(from, 0xE000, high, to);
    return;
  }
  // The range is cut where the number of bytes changes, and then where a following byte does not
  // take all of its values.
  for (const char32_t last : {char32_t{0x7F}, char32_t{0x7FF}, char32_t{0xFFFF}}) {
    if (low <= last && high > last) {
      AddUtf8(from, low, last, to);
      AddUtf8(from, last + 1, high, to);
      return;
    }
  }
  const size_t length = Utf8Length(low);
  for (size_t i = 1; i < length; ++i) {
    const char32_t mask = (char32_t{1} << (6 * i)) - 1;
    if ((low & ~mask) == (high & ~mask)) continue;
    if ((low & mask) != 0) {
      AddUtf8(from, low, low | mask, to);
      AddUtf8(from, (low | mask) + 1, high, to);
      return;
    }
    if ((high & mask) != mask) {
      AddUtf8(from, low, (high & ~mask) - 1, to);
      AddUtf8(from, high & ~mask, high, to);
      return;
    }
  }
  std::string first, last;
  AppendUtf8(low, &first);
  AppendUtf8(high, &last);
  for (size_t i = 0; i < length; ++i) {
    const StateId next = i + 1 == length ? to : network_.AddState();
    network_.AddBytes(from, static_cast<uint8_t>(first[i]), static_cast<uint8_t>(last[i]), next);
    from = next;
  }
}

// The characters of one range within a string, each in its one spelling.
void JsonText::AddCharacters(StateId from, const CharRange& range, StateId to) {
  char32_t plain = range.low;  // the first that has not been added
  const auto escape = [&](char32_t code) {
    const std::string quoted = QuotedJson(std::string(1, static_cast<char>(code)));
    network_.AddToTree(from, std::string_view(quoted).substr(1, quoted.size() - 2), to);
  };
  for (char32_t code = range.low; code < 0x20 && code <= range.high; ++code) {
    escape(code);
    plain = code + 1;
  }
  for (const char32_t code : {char32_t{'"'}, char32_t{'\\'}}) {
    if (code < plain || code > range.high) continue;
    AddUtf8(from, plain, code - 1, to);
    escape(code);
    plain = code + 1;
  }
  if (plain <= range.high) AddUtf8(from, plain, range.high, to);
}

void JsonText::AddString(StateId from, const CharAutomaton& automaton, StateId to) {
  std::vector<StateId> ids;
  for (size_t i = 0; i < automaton.states.size(); ++i) ids.push_back(network_.AddState());
  if (ids.empty()) return;
  network_.AddByte(from, '"', ids[0]);
  for (size_t i = 0; i < ids.size() && !network_.full(); ++i) {
    const CharAutomaton::State& state = automaton.states[i];
    if (state.accepting) network_.AddByte(ids[i], '"', to);
    for (const CharAutomaton::Edge& edge : state.edges) {
      const StateId target = ids[static_cast<size_t>(edge.target)];
      AddCharacters(ids[i], edge.range, target);
    }
    // All characters lead back to this state, so there is nothing to count.
    if (state.edges.size() == 2 && state.edges[0].target == static_cast<int>(i) &&
        state.edges[1].target == static_cast<int>(i) && state.edges[0].range.low <= 0x20 &&
        state.edges[0].range.high == 0xD7FF && state.edges[1].range.high == kLastCharacter) {
      network_.state(ids[i]).plain_characters = kUnlimited;
    }
  }
}

void JsonText::AddOtherKey(StateId from, const std::vector<std::string>& names, StateId to) {
  // Once a key differs from all names, any characters may follow.
  const StateId other = network_.AddState();
  const StateId quote = network_.AddState();  // behind the last quote; all texts share it
  network_.AddFree(quote, to);
  network_.AddByte(other, '"', quote);
  AddCharacters(other, {0x20, '"' - 1}, other);
  AddCharacters(other, {'"' + 1, '\\' - 1}, other);
  AddCharacters(other, {'\\' + 1, kLastCharacter}, other);
  network_.state(other).plain_characters = kUnlimited;

  struct Branch {
    std::map<char32_t, size_t> next;
    bool is_name = false;
  };
  std::vector<Branch> tree(1);
  for (const std::string& name : names) {
    size_t at = 0;
    for (const char32_t c : ToCodePoints(name)) {
      const auto [entry, is_new] = tree[at].next.try_emplace(c, tree.size());
      at = entry->second;
      if (is_new) tree.emplace_back();
    }
    tree[at].is_name = true;
  }
  std::vector<StateId> ids;
  for (size_t i = 0; i < tree.size(); ++i) ids.push_back(network_.AddState());
  network_.AddByte(from, '"', ids[0]);
  for (size_t i = 0; i < tree.size() && !network_.full(); ++i) {
    if (!tree[i].is_name) network_.AddByte(ids[i], '"', quote);
    CharSet taken = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};
    for (const auto& [c, next] : tree[i].next) {
      taken.push_back({c, c});
      if (c >= 0x20 && c != '"' && c != '\\') AddUtf8(ids[i], c, c, ids[next]);
    }
    for (const CharRange& range : Complement(Normalized(std::move(taken)))) {
      AddUtf8(ids[i], range.low, range.high, other);
    }
  }
}

void JsonText::AddBare(StateId from, const CharAutomaton& automaton, StateId to) {
  std::vector<StateId> ids;
  for (size_t i = 0; i < automaton.states.size(); ++i) ids.push_back(network_.AddState());
  if (ids.empty()) return;
  network_.AddFree(from, ids[0]);
  for (size_t i = 0; i < ids.size() && !network_.full(); ++i) {
    if (automaton.states[i].accepting) network_.AddFree(ids[i], to);
    for (const CharAutomaton::Edge& edge : automaton.states[i].edges) {
      network_.AddBytes(ids[i], static_cast<uint8_t>(edge.range.low),
                        static_cast<uint8_t>(edge.range.high),
                        ids[static_cast<size_t>(edge.target)]);
    }
  }
}

StateId JsonText::AddSeparator(StateId from, char separator) {
  const StateId after = network_.AddState();
  const StateId spaced = network_.AddState();
  network_.AddByte(from, static_cast<uint8_t>(separator), after);
  network_.AddByte(after, ' ', spaced);
  network_.AddFree(after, spaced);
  return spaced;
}

StateId JsonText::AnyObject() {
  if (any_object_ >= 0) return any_object_;
  const StateId start = any_object_ = network_.AddState();
  const StateId end = network_.AddState();
  network_.state(end).final = true;
  const StateId first = network_.AddText(start, "{");
  const StateId key_end = network_.AddState();
  const StateId next = network_.AddState();
  AddString(first, 0, kUnlimited, key_end);
  network_.AddCall(AddSeparator(key_end, ':'), AnyValue(), next);
  AddString(AddSeparator(next, ','), 0, kUnlimited, key_end);
  network_.AddByte(first, '}', end);
  network_.AddByte(next, '}', end);
  return start;
}

StateId JsonText::AnyArray() {
  if (any_array_ >= 0) return any_array_;
  const StateId start = any_array_ = network_.AddState();
  const StateId end = network_.AddState();
  network_.state(end).final = true;
  const StateId first = network_.AddText(start, "[");
  const StateId next = network_.AddState();
  network_.AddCall(first, AnyValue(), next);
  network_.AddCall(AddSeparator(next, ','), AnyValue(), next);
  network_.AddByte(first, ']', end);
  network_.AddByte(next, ']', end);
  return start;
}

StateId JsonText::AnyValue() {
  if (any_value_ >= 0) return any_value_;
  const StateId start = any_value_ = network_.AddState();
  const StateId end = network_.AddState();
  network_.state(end).final = true;
  network_.AddCall(start, AnyObject(), end);
  network_.AddCall(start, AnyArray(), end);
  AddString(start, 0, kUnlimited, end);
  Steps steps;  // always the same few
  const Result<CharAutomaton> number = BuildAutomaton(AnyNumber(), 0, kUnlimited, steps);
  if (number.ok()) AddBare(start, *number, end);
  for (const char* word : {"true", "false", "null"}) network_.AddToTree(start, word, end);
  return start;
}

}  // namespace fastvlm::grammar
