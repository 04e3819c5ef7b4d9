#include "train/scene/grammar.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "train/scene/color.h"
#include "train/scene/questions.h"
#include "train/scene/test_art.h"
#include "train/scene/words.h"

namespace fastvlm::train {
namespace {

const Concept kCat{"cat", "cats", "a", "animal", Number::kCountable};
const Concept kHourglass{"hourglass", "hourglasses", "an", "object", Number::kCountable};
const Concept kScissors{"scissors", "scissors", "some", "object", Number::kPlural};
const Concept kPopcorn{"popcorn", "popcorn", "some", "food", Number::kMass};
const Concept kMoon{"moon", "moons", "the", "place", Number::kCountable};

std::string Fill(std::string_view phrase, const Concept& thing) {
  return FillIn(phrase, {&thing, "on the left", "AB"});
}

TEST(GrammarTest, SaysThingsAsTheirNumberAsks) {
  EXPECT_EQ(Capitalized(Indefinite(kHourglass)) + ".", "An hourglass.");
  EXPECT_EQ(Fill("$I there $q?", kCat), "Is there a cat?");
  EXPECT_EQ(Fill("$I there $q?", kHourglass), "Is there an hourglass?");
  EXPECT_EQ(Fill("$I there $q?", kScissors), "Are there any scissors?");
  EXPECT_EQ(Fill("$I there $q?", kPopcorn), "Is there any popcorn?");
  EXPECT_EQ(Fill("Can you see $q?", kMoon), "Can you see the moon?");
  EXPECT_EQ(Fill("Where $i $t?", kScissors), "Where are the scissors?");
  EXPECT_EQ(Fill("Where $i $t?", kPopcorn), "Where is the popcorn?");
  EXPECT_EQ(Fill("How many $s are there?", kHourglass), "How many hourglasses are there?");
  EXPECT_EQ(Fill("What is $p? \"$x\" $a", kCat), "What is on the left? \"AB\" a cat");
  EXPECT_EQ(WithArticle("orange"), "an orange");
  EXPECT_EQ(WithArticle("dark blue"), "a dark blue");
}

TEST(GrammarTest, ThingsThatShareANameAreNotAskedForTogether) {
  auto named = [](const char* name) { return Concept{name, "", "a", "", Number::kCountable}; };
  EXPECT_TRUE(MayBeMistaken(named("fire truck"), named("truck")));
  EXPECT_TRUE(MayBeMistaken(named("pine tree"), named("tree")));
  EXPECT_TRUE(MayBeMistaken(named("cook"), named("man")));
  EXPECT_TRUE(MayBeMistaken(named("bus"), named("ambulance")));
  EXPECT_FALSE(MayBeMistaken(named("cat"), named("dog")));
  EXPECT_FALSE(MayBeMistaken(named("ear"), named("bear")));
}

TEST(GrammarTest, MistakingIsMutualAndRare) {
  const auto& concepts = TestArt().concepts();
  for (const Concept& a : concepts) {
    EXPECT_TRUE(MayBeMistaken(a, a)) << a.name;
    int free = 0;
    for (const Concept& b : concepts) {
      EXPECT_EQ(MayBeMistaken(a, b), MayBeMistaken(b, a)) << a.name << " " << b.name;
      if (!MayBeMistaken(a, b)) ++free;
    }
    EXPECT_GT(free, static_cast<int>(concepts.size()) * 2 / 3) << a.name;
  }
}

int IndexOf(std::string_view name) {
  const auto& concepts = TestArt().concepts();
  for (size_t i = 0; i < concepts.size(); ++i) {
    if (concepts[i].name == name) return static_cast<int>(i);
  }
  ADD_FAILURE() << "no concept " << name;
  return 0;
}

TEST(DescribeTest, OneSentenceForEachLayout) {
  Composition scene;
  for (const NamedColor& color : NamedColors()) {
    if (std::string_view(color.name) == "orange") scene.color = &color;
  }
  Item scissors{IndexOf("scissors"), Place::kLeft, {}, 0, 0};
  Item bacon{IndexOf("bacon"), Place::kRight, {}, 0, 0};
  Item bat{IndexOf("bat"), Place::kTopLeft, {}, 0, 0};
  scene.layout = Layout::kSingle;
  scene.items = {bat};
  EXPECT_EQ(Describe(TestArt(), scene), "A bat on an orange background.");
  scene.layout = Layout::kAlike;
  scene.items = {bat, bat, bat};
  EXPECT_EQ(Describe(TestArt(), scene), "Three bats on an orange background.");
  scene.layout = Layout::kPair;
  scene.items = {scissors, bacon};
  EXPECT_EQ(Describe(TestArt(), scene),
            "Some scissors on the left and some bacon on the right, on an orange background.");
  scene.layout = Layout::kGroup;
  scissors.place = Place::kTopRight;
  bacon.place = Place::kBottomLeft;
  scene.items = {bat, scissors, bacon};
  EXPECT_EQ(Describe(TestArt(), scene),
            "A bat at the top left, some scissors at the top right and some bacon at the bottom "
            "left, on an orange background.");
  scene.text = "HELLO";
  scene.layout = Layout::kTextAndThing;
  scene.text_place = Place::kBottom;
  scene.items = {scissors};
  EXPECT_EQ(Describe(TestArt(), scene),
            "Some scissors with the text \"HELLO\" below them, on an orange background.");
  scene.layout = Layout::kText;
  scene.items.clear();
  EXPECT_EQ(Describe(TestArt(), scene), "The text \"HELLO\" on an orange background.");
}

TEST(WordsTest, AreCapitalsOfTwoToSixLetters) {
  EXPECT_GT(CommonWords().size(), 600u);
  for (const std::string& word : CommonWords()) {
    EXPECT_GE(word.size(), 2u) << word;
    EXPECT_LE(word.size(), 6u) << word;
    EXPECT_EQ(word.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), word.npos) << word;
  }
  EXPECT_EQ(std::set<std::string>(CommonWords().begin(), CommonWords().end()).size(),
            CommonWords().size());
}

TEST(WordsTest, TextsAreReadable) {
  EXPECT_TRUE(IsUnclear("O"));
  EXPECT_TRUE(IsUnclear("00"));
  EXPECT_TRUE(IsUnclear("A0B1"));
  EXPECT_TRUE(IsUnclear("OO1"));
  EXPECT_TRUE(IsUnclear("AB0"));
  EXPECT_FALSE(IsUnclear("10"));
  EXPECT_FALSE(IsUnclear("ZOO"));
  EXPECT_FALSE(IsUnclear("A1"));
  Random random(3);
  for (int i = 0; i < 200000; ++i) {
    const int longest = 1 + i % 6;
    const std::string text = DrawText(longest, random);
    EXPECT_GE(text.size(), 1u);
    EXPECT_LE(static_cast<int>(text.size()), longest);
    EXPECT_FALSE(IsUnclear(text)) << text;
    EXPECT_NE(DrawOtherText(text, random), text);
  }
}

TEST(ColorTest, NamesAreFarApart) {
  const auto colors = NamedColors();
  Random random(7);
  for (size_t a = 0; a < colors.size(); ++a) {
    for (size_t b = 0; b < a; ++b) {
      for (int i = 0; i < 300; ++i) {
        const float distance = Distance(DrawColor(colors[a], random), DrawColor(colors[b], random));
        EXPECT_GT(distance, 0.13f) << colors[a].name << " " << colors[b].name;
      }
    }
  }
}

TEST(RandomTest, IsSplitmix64) {
  Random random(0);
  EXPECT_EQ(random.Next(), 0xe220a8397b1dcdafu);
  EXPECT_EQ(random.Next(), 0x6e789e6aa1b965f4u);
}

TEST(RandomTest, DrawsEvenlyAndByWeight) {
  Random random(5);
  constexpr float kWeights[] = {1, 0, 3};
  int below[5] = {}, weighted[3] = {};
  for (int i = 0; i < 20000; ++i) {
    ++below[random.Below(5)];
    ++weighted[random.Weighted(kWeights, 3)];
  }
  for (int count : below) EXPECT_NEAR(count, 4000, 4 * std::sqrt(20000 * 0.2 * 0.8));
  EXPECT_NEAR(weighted[0], 5000, 4 * std::sqrt(20000 * 0.25 * 0.75));
  EXPECT_EQ(weighted[1], 0);
}

TEST(RandomTest, SineAndCosine) {
  for (float x = -6.2f; x < 6.2f; x += 0.01f) {
    EXPECT_NEAR(Sine(x), std::sin(x), 1e-5) << x;
    if (x < 4.7f) {
      EXPECT_NEAR(Cosine(x), std::cos(x), 1e-5) << x;
    }
  }
}

}  // namespace
}  // namespace fastvlm::train
