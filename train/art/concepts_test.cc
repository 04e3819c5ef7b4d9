#include "train/art/concepts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

namespace fastvlm::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<ConceptRow> Table() { return ParseConcepts(ConceptTable(), "concepts.tsv").value(); }

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// The plural by rule of the last word's spelling.
std::string RegularPlural(const std::string& name) {
  for (const char* end : {"s", "x", "ch", "sh"}) {
    if (EndsWith(name, end)) return name + "es";
  }
  const std::string vowels = "aeiou";
  if (EndsWith(name, "y") && vowels.find(name[name.size() - 2]) == std::string::npos) {
    return name.substr(0, name.size() - 1) + "ies";
  }
  return name + "s";
}

// Every concept whose plural is not by rule.
const std::map<std::string, std::string>& IrregularPlurals() {
  static const std::map<std::string, std::string> plurals = {
      {"bow and arrow", "bows and arrows"},
      {"cactus", "cacti"},
      {"deer", "deer"},
      {"die", "dice"},
      {"fish", "fish"},
      {"jellyfish", "jellyfish"},
      {"knife", "knives"},
      {"man", "men"},
      {"mouse", "mice"},
      {"potato", "potatoes"},
      {"sheep", "sheep"},
      {"snowman", "snowmen"},
      {"stack of books", "stacks of books"},
      {"thumbs down", "thumbs down"},
      {"thumbs up", "thumbs up"},
      {"tomato", "tomatoes"},
      {"tooth", "teeth"},
      {"tornado", "tornadoes"},
      {"tropical fish", "tropical fish"},
      {"volcano", "volcanoes"},
      {"wolf", "wolves"},
      {"woman", "women"},
  };
  return plurals;
}

TEST(ConceptTableTest, HasEveryConceptOnce) {
  const std::vector<ConceptRow> rows = Table();
  EXPECT_EQ(rows.size(), 338u);
  std::set<std::string> names;
  for (const ConceptRow& row : rows) {
    EXPECT_TRUE(names.insert(row.about.name).second) << "twice: " << row.about.name;
  }
  // "some books" must not be two of "a book".
  for (const ConceptRow& row : rows) {
    if (row.about.plural != row.about.name) {
      EXPECT_EQ(names.count(row.about.plural), 0u) << row.about.plural;
    }
  }
}

TEST(ConceptTableTest, NamesAreLowerCaseLettersButProperNames) {
  const std::set<std::string> proper = {"American football", "Christmas tree", "Ferris wheel",
                                        "Santa"};
  for (const ConceptRow& row : Table()) {
    std::string name = row.about.name;
    if (proper.count(name) > 0) name[0] = char(std::tolower(name[0]));
    EXPECT_TRUE(std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || c == ' ';
    })) << row.about.name;
    EXPECT_NE(name.front(), ' ');
    EXPECT_NE(name.back(), ' ');
    EXPECT_EQ(name.find("  "), std::string::npos);
  }
}

TEST(ConceptTableTest, ArticlesFitTheSound) {
  // Spelled and spoken differently.
  const std::map<std::string, std::string> exceptions = {{"hourglass", "an"}, {"unicorn", "a"}};
  for (const ConceptRow& row : Table()) {
    const Concept& one = row.about;
    std::string expected = "some";
    if (one.number == Number::kCountable) {
      const bool vowel = std::string("aeiouAEIOU").find(one.name[0]) != std::string::npos;
      const auto exception = exceptions.find(one.name);
      expected = exception != exceptions.end() ? exception->second : vowel ? "an" : "a";
    }
    EXPECT_EQ(one.article, expected) << one.name;
  }
}

TEST(ConceptTableTest, PluralsFollowTheRules) {
  size_t irregular = 0;
  for (const ConceptRow& row : Table()) {
    const Concept& one = row.about;
    std::string expected = one.name;
    if (one.number == Number::kCountable) {
      const auto found = IrregularPlurals().find(one.name);
      if (found != IrregularPlurals().end()) ++irregular;
      expected = found != IrregularPlurals().end() ? found->second : RegularPlural(one.name);
    }
    EXPECT_EQ(one.plural, expected);
  }
  EXPECT_EQ(irregular, IrregularPlurals().size()) << "the list above names unknown concepts";
}

TEST(ConceptTableTest, PluralOnlyNamesEndInS) {
  for (const ConceptRow& row : Table()) {
    if (row.about.number == Number::kPlural) {
      EXPECT_EQ(row.about.name.back(), 's');
    }
  }
}

TEST(StylesTest, OnlyTheLastIsHeldOut) {
  const std::vector<Style>& styles = Styles();
  ASSERT_EQ(styles.size(), 13u);
  for (size_t i = 0; i < styles.size(); ++i) {
    EXPECT_EQ(styles[i].held_out, i == 12);
    EXPECT_EQ(styles[i].training_only, i >= 5 && i < 12) << "the trials have five styles";
  }
  EXPECT_EQ(styles[12].name, "openmoji");
}

TEST(StylesTest, LinedStylesAreMadeOfTwoPackages) {
  const LinedStyle* lined = FindLinedStyle("emojione-lined");
  ASSERT_NE(lined, nullptr);
  EXPECT_EQ(lined->drawing, "emojione");
  EXPECT_EQ(lined->lines, "emojione-monotone");
  EXPECT_EQ(FindLinedStyle("emojione"), nullptr);
}

TEST(ParseConceptsTest, ReadsFieldsAndOverrides) {
  const auto rows =
      ParseConcepts("# note\n\nfun\tdie\tdice\ta\tc\tgame-die dice noto=- twemoji=cube\n", "t");
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  ASSERT_EQ(rows->size(), 1u);
  const ConceptRow& row = rows->front();
  EXPECT_EQ(row.about.category, "fun");
  EXPECT_EQ(row.about.name, "die");
  EXPECT_EQ(row.about.plural, "dice");
  EXPECT_EQ(row.about.article, "a");
  EXPECT_EQ(row.about.number, Number::kCountable);
  EXPECT_THAT(row.IconsIn("openmoji"), ElementsAre("game-die", "dice"));
  EXPECT_THAT(row.IconsIn("twemoji"), ElementsAre("cube"));
  EXPECT_THAT(row.IconsIn("noto"), IsEmpty());
}

TEST(ParseConceptsTest, ErrorsNameTheLine) {
  const std::map<std::string, std::string> bad = {
      {"a\tb\tc\td\tc\n", "expected 6 fields"},
      {"a\tb\tc\td\tc\ticon\tmore\n", "expected 6 fields"},
      {"a\t\tc\td\tc\ticon\n", "field 2 is empty"},
      {"a\tb\tc\td\tx\ticon\n", "number must be c, p or m"},
      {"a\tb\tc\td\tc\t\n", "empty icon name"},
      {"a\tb\tc\td\tc\ticon  icon\n", "empty icon name"},
      {"a\tb\tc\td\tc\ticon nobody=icon\n", "expected <package>=<icon>"},
      {"a\tb\tc\td\tc\tnoto=\n", "expected <package>=<icon>"},
  };
  for (const auto& [line, message] : bad) {
    const auto rows = ParseConcepts("# first\n" + line, "table");
    ASSERT_FALSE(rows.ok()) << line;
    EXPECT_EQ(rows.status().code(), StatusCode::kDataError);
    EXPECT_THAT(rows.status().message(), HasSubstr("table:2: "));
    EXPECT_THAT(rows.status().message(), HasSubstr(message));
  }
  EXPECT_FALSE(ParseConcepts("# nothing\n", "table").ok());
}

}  // namespace
}  // namespace fastvlm::train
