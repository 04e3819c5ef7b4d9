#include "grammar/regex.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "grammar/network.h"
#include "text/unicode.h"

namespace fastvlm::grammar {
namespace {

constexpr int kMaxNesting = 50;
constexpr int kMaxRepeat = 10'000;

const CharSet& Digits() {
  static const CharSet set = {{'0', '9'}};
  return set;
}
const CharSet& WordCharacters() {
  static const CharSet set = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  return set;
}
const CharSet& AsciiSpaces() {
  static const CharSet set = {{0x09, 0x0D}, {0x20, 0x20}};
  return set;
}
// WhiteSpace and LineTerminator of ECMA-262, none of which may follow "\S". For "\s" only ASCII is
// written, because validators differ in the rest.
const CharSet& AllSpaces() {
  static const CharSet set = {
      {0x09, 0x0D},     {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
      {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
  return set;
}

CharSet WithoutControls(const CharSet& set) {
  CharSet kept;
  for (const CharRange& range : set) {
    if (range.high >= 0x20) kept.push_back({std::max<char32_t>(range.low, 0x20), range.high});
  }
  return kept;
}

Expression AnyText() { return Repeat(Set(WithoutControls(Complement({}))), 0, kUnlimited); }

class Parser {
 public:
  explicit Parser(std::u32string text) : text_(std::move(text)) {}

  Result<Regex> Parse() {
    std::vector<Expression> choices, refused;
    while (true) {
      const bool begins = Take('^');
      while (begins && text_.compare(position_, 3, U"(?!") == 0) {
        FASTVLM_RETURN_IF_ERROR(ParseRefused(refused));
      }
      FASTVLM_ASSIGN_OR_RETURN(Expression part, ParseSequence(0));
      const bool ends = Take('$');
      if (!Done() && !Next('|')) return Wrong("expected the end of an alternative after \"$\"");
      std::vector<Expression> whole;
      if (!begins) whole.push_back(AnyText());
      whole.push_back(std::move(part));
      if (!ends) whole.push_back(AnyText());
      choices.push_back(Sequence(std::move(whole)));
      if (!Take('|')) break;
    }
    if (!refused.empty() && choices.size() > 1) {
      return Wrong("\"(?!\" is supported only where no alternatives are outside of groups");
    }
    return Regex{Choice(std::move(choices)), Choice(std::move(refused))};
  }

 private:
  // Reads "(?!...)" at the beginning, and adds the texts that it refuses. Where sets of characters
  // are larger for some validators, they are the larger ones here.
  Status ParseRefused(std::vector<Expression>& refused) {
    position_ += 3;
    refusing_ = true;
    do {
      Take('^');
      FASTVLM_ASSIGN_OR_RETURN(Expression begin, ParseSequence(1));
      std::vector<Expression> whole = {std::move(begin)};
      if (!Take('$')) whole.push_back(Repeat(Set(Complement({})), 0, kUnlimited));
      refused.push_back(Sequence(std::move(whole)));
    } while (Take('|'));
    refusing_ = false;
    return Take(')') ? Status() : Wrong("a group is not closed");
  }

  // All characters that are not in `set`; only what is refused includes control characters.
  CharSet Others(const CharSet& set) const {
    return refusing_ ? Complement(set) : WithoutControls(Complement(set));
  }

  bool Done() const { return position_ == text_.size(); }
  bool Next(char32_t c) const { return !Done() && text_[position_] == c; }
  bool Take(char32_t c) {
    if (!Next(c)) return false;
    ++position_;
    return true;
  }
  Status Wrong(std::string_view what) const {
    return Error(StatusCode::kInvalidArgument, "at character {}: {}", position_, what);
  }

  Result<Expression> ParseChoice(int nesting) {
    std::vector<Expression> choices;
    do {
      FASTVLM_ASSIGN_OR_RETURN(Expression part, ParseSequence(nesting));
      choices.push_back(std::move(part));
    } while (Take('|'));
    return Choice(std::move(choices));
  }

  Result<Expression> ParseSequence(int nesting) {
    std::vector<Expression> parts;
    while (!Done() && !Next('|')) {
      if (Next(')')) {
        if (nesting > 0) break;
        return Wrong("\")\" without \"(\"");
      }
      if (Next('$') && nesting == (refusing_ ? 1 : 0)) break;
      FASTVLM_ASSIGN_OR_RETURN(Expression atom, ParseAtom(nesting));
      FASTVLM_ASSIGN_OR_RETURN(atom, ParseQuantifier(std::move(atom)));
      parts.push_back(std::move(atom));
    }
    return Sequence(std::move(parts));
  }

  Result<Expression> ParseAtom(int nesting) {
    const char32_t c = text_[position_];
    switch (c) {
      case '(':
        return ParseGroup(nesting);
      case '[':
        return ParseClass();
      case '.':
        ++position_;
        if (refusing_) return Set(Complement({}));
        return Set(Others({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}));
      case '\\': {
        ++position_;
        FASTVLM_ASSIGN_OR_RETURN(CharSet set, ParseEscape(Where::kOutside));
        return Set(std::move(set));
      }
      case '^':
      case '$':
        return Wrong("\"^\" and \"$\" are supported only at the ends of the pattern");
      case '*':
      case '+':
      case '?':
      case '{':
        return Wrong("nothing to repeat");
      case ']':
      case '}':
        return Wrong("a bracket is closed that was not opened; write \"\\\\\" before it");
      default:
        ++position_;
        return Set({{c, c}});
    }
  }

  Result<Expression> ParseGroup(int nesting) {
    if (nesting >= kMaxNesting) return Wrong("too many groups inside each other");
    ++position_;
    if (Take('?') && !Take(':')) {
      return Wrong(
          "of the groups that begin with \"(?\" only \"(?:\" is supported, and at the beginning "
          "\"^(?!\"");
    }
    FASTVLM_ASSIGN_OR_RETURN(Expression inner, ParseChoice(nesting + 1));
    if (!Take(')')) return Wrong("a group is not closed");
    return inner;
  }

  Result<Expression> ParseQuantifier(Expression atom) {
    int min = 1, max = 1;
    if (Take('*')) {
      min = 0;
      max = kUnlimited;
    } else if (Take('+')) {
      max = kUnlimited;
    } else if (Take('?')) {
      min = 0;
    } else if (Take('{')) {
      FASTVLM_ASSIGN_OR_RETURN(min, ParseCount());
      max = min;
      if (Take(',')) {
        max = kUnlimited;
        if (!Next('}')) {
          FASTVLM_ASSIGN_OR_RETURN(max, ParseCount());
        }
      }
      if (!Take('}')) return Wrong("expected {n}, {n,} or {n,m}");
      if (min > max) return Wrong("the numbers of a {n,m} are in the wrong order");
    } else {
      return atom;
    }
    Take('?');  // a lazy repetition allows the same texts
    if (Next('*') || Next('+') || Next('?') || Next('{')) return Wrong("nothing to repeat");
    return Repeat(std::move(atom), min, max);
  }

  Result<int> ParseCount() {
    if (Done() || text_[position_] < '0' || text_[position_] > '9') {
      return Wrong("expected {n}, {n,} or {n,m}");
    }
    int count = 0;
    for (; !Done() && text_[position_] >= '0' && text_[position_] <= '9'; ++position_) {
      count = count * 10 + static_cast<int>(text_[position_] - '0');
      if (count > kMaxRepeat) return Wrong("more than 10000 repetitions");
    }
    return count;
  }

  enum class Where { kOutside, kClass, kNegatedClass };

  // Reads on after a backslash.
  Result<CharSet> ParseEscape(Where where) {
    if (Done()) return Wrong("nothing after the last \"\\\"");
    const char32_t c = text_[position_++];
    const auto one = [](char32_t code) { return CharSet{{code, code}}; };
    switch (c) {
      case 'd':
        return Digits();
      case 'D':
        return Others(Digits());
      case 'w':
        return WordCharacters();
      case 'W':
        return Others(WordCharacters());
      case 's':
        return (where == Where::kNegatedClass) != refusing_ ? AllSpaces() : AsciiSpaces();
      case 'S':
        if (!refusing_) return Others(AllSpaces());
        return Complement(where == Where::kNegatedClass ? AllSpaces() : AsciiSpaces());
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case '0':
        return one(0);
      case 'x':
        return ParseHex(2);
      case 'u':
        return ParseHex(4);
      default:
        break;
    }
    if (c == 'b' && where != Where::kOutside) return one('\b');
    const bool word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (!word) return one(c);
    std::string shown = "\\";
    AppendUtf8(c, &shown);
    return Wrong(fmt::format("\"{}\" is not supported", shown));
  }

  Result<CharSet> ParseHex(int digits) {
    char32_t code = 0;
    for (int i = 0; i < digits; ++i) {
      const char32_t c = Done() ? 0 : text_[position_];
      char32_t value;
      if (c >= '0' && c <= '9') {
        value = c - '0';
      } else if (c >= 'a' && c <= 'f') {
        value = c - 'a' + 10;
      } else if (c >= 'A' && c <= 'F') {
        value = c - 'A' + 10;
      } else {
        return Wrong("expected a hexadecimal digit");
      }
      code = code * 16 + value;
      ++position_;
    }
    if (code >= 0xD800 && code <= 0xDFFF) return Wrong("half a character (a surrogate)");
    return CharSet{{code, code}};
  }

  Result<Expression> ParseClass() {
    ++position_;
    const bool negated = Take('^');
    const Where where = negated ? Where::kNegatedClass : Where::kClass;
    CharSet set;
    while (!Next(']')) {
      if (Done()) return Wrong("a class is not closed");
      FASTVLM_ASSIGN_OR_RETURN(const CharSet low, ParseClassAtom(where));
      const bool is_range =
          Next('-') && position_ + 1 < text_.size() && text_[position_ + 1] != ']';
      if (!is_range) {
        set.insert(set.end(), low.begin(), low.end());
        continue;
      }
      ++position_;
      FASTVLM_ASSIGN_OR_RETURN(const CharSet high, ParseClassAtom(where));
      const bool single = low.size() == 1 && low[0].low == low[0].high && high.size() == 1 &&
                          high[0].low == high[0].high;
      if (!single || low[0].low > high[0].low) return Wrong("a range of a class is not in order");
      set.push_back({low[0].low, high[0].low});
    }
    ++position_;
    set = Normalized(std::move(set));
    return Set(negated ? Others(set) : std::move(set));
  }

  Result<CharSet> ParseClassAtom(Where where) {
    if (Done()) return Wrong("a class is not closed");
    const char32_t c = text_[position_++];
    if (c == '\\') return ParseEscape(where);
    return CharSet{{c, c}};
  }

  const std::u32string text_;
  size_t position_ = 0;
  bool refusing_ = false;  // within "(?!...)"
};

}  // namespace

Result<Regex> ParseRegex(std::string_view pattern) {
  if (!IsValidUtf8(pattern)) return Error(StatusCode::kInvalidArgument, "not valid UTF-8");
  return Parser(ToCodePoints(pattern)).Parse();
}

}  // namespace fastvlm::grammar
