// Answers are checked against what the cells show, not against the composition they were made of.
#include "train/scene/questions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "train/scene/scene.h"
#include "train/scene/test_art.h"

namespace fastvlm::train {
namespace {

constexpr std::array<Layout, 6> kLayouts = {Layout::kSingle, Layout::kPair, Layout::kGroup,
                                            Layout::kAlike,  Layout::kText, Layout::kTextAndThing};
constexpr std::array<const char*, 7> kNumbers = {"",      "One.",  "Two.", "Three.",
                                                 "Four.", "Five.", "Six."};

// The mean place of the cells where something is seen, 0..1 from left to right and top to bottom.
struct Centroid {
  float x = 0, y = 0;
};

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

bool NamesAPlace(const std::string& phrase) {
  for (const char* word : {"left", "right", "top", "bottom", "middle"}) {
    if (Contains(phrase, word)) return true;
  }
  return false;
}

// Whether all directions that the phrase names hold for a place.
bool Holds(const std::string& phrase, const Centroid& at) {
  return (!Contains(phrase, "left") || at.x < 0.5f) &&
         (!Contains(phrase, "right") || at.x > 0.5f) && (!Contains(phrase, "top") || at.y < 0.5f) &&
         (!Contains(phrase, "bottom") || at.y > 0.5f) &&
         (!Contains(phrase, "middle") ||
          (std::abs(at.x - 0.5f) < 0.15f && std::abs(at.y - 0.5f) < 0.15f));
}

// The concept that a question made of one of these phrases is about; null if none.
const Concept* AskedFor(Phrases phrases, const std::string& question) {
  for (const Concept& thing : TestArt().concepts()) {
    for (std::string_view phrase : phrases) {
      if (FillIn(phrase, {&thing, {}, {}}) == question) return &thing;
    }
  }
  return nullptr;
}

bool IsOneOf(Phrases phrases, const std::string& question) {
  return std::find(phrases.begin(), phrases.end(), question) != phrases.end();
}

std::string BetweenQuotes(const std::string& text) {
  const size_t begin = text.find('"') + 1;
  return text.substr(begin, text.rfind('"') - begin);
}

// Checks the turns of one scene.
class Checker {
 public:
  // `done` counts the checks by their kind.
  Checker(const Scene& scene, const SceneOptions& options, std::map<std::string, int>* done)
      : scene_(scene), options_(options), done_(*done), text_(TextOf(scene)) {
    for (const Thing& thing : scene.things) {
      if (thing.kind == ThingKind::kObject) objects_.push_back(&thing);
    }
  }

  void Check(const Turn& turn);

 private:
  static const Concept& ConceptOf(const Thing& thing) {
    return TestArt().concepts()[static_cast<size_t>(thing.concept_index)];
  }
  Centroid CentroidOf(const Thing& thing) const;
  Centroid CentroidOfText() const;
  const Thing* Find(const Concept& thing) const;
  const Thing* Answered(const std::string& answer) const;

  void CheckName(const Turn& turn);
  void CheckDescribe(const Turn& turn);
  void CheckCount(const Turn& turn);
  void CheckWhere(const Turn& turn);
  void CheckWhatAt(const Turn& turn);
  void CheckRelation(const Turn& turn, const Thing& answer);
  void CheckNothingAt(const Turn& turn);
  void CheckPresent(const Turn& turn);
  void ExpectAt(const std::string& phrase, const Centroid& at);

  const Scene& scene_;
  const SceneOptions& options_;
  std::map<std::string, int>& done_;
  const std::string text_;
  std::vector<const Thing*> objects_;
};

Centroid Checker::CentroidOf(const Thing& thing) const {
  const int index = static_cast<int>(&thing - scene_.things.data());
  const int columns = options_.width / options_.cell, rows = options_.height / options_.cell;
  float x = 0, y = 0, count = 0;
  for (int i = 0; i < rows * columns; ++i) {
    const std::vector<int>& cell = scene_.cells[static_cast<size_t>(i)];
    if (std::find(cell.begin(), cell.end(), index) == cell.end()) continue;
    x += (static_cast<float>(i % columns) + 0.5f) / static_cast<float>(columns);
    y += (static_cast<float>(i / columns) + 0.5f) / static_cast<float>(rows);
    count += 1;
  }
  EXPECT_GT(count, 0) << thing.words << " is in no cell";
  return {x / count, y / count};
}

Centroid Checker::CentroidOfText() const {
  Centroid mean;
  for (const Thing& thing : scene_.things) {
    if (thing.kind != ThingKind::kCharacter) continue;
    const Centroid at = CentroidOf(thing);
    mean.x += at.x / static_cast<float>(text_.size());
    mean.y += at.y / static_cast<float>(text_.size());
  }
  EXPECT_FALSE(text_.empty());
  return mean;
}

const Thing* Checker::Find(const Concept& thing) const {
  for (const Thing* object : objects_) {
    if (object->words == thing.name) return object;
  }
  return nullptr;
}

// The thing whose indefinite form the answer is; null if none.
const Thing* Checker::Answered(const std::string& answer) const {
  for (const Thing* object : objects_) {
    if (Capitalized(Indefinite(ConceptOf(*object))) + "." == answer) return object;
  }
  return nullptr;
}

void Checker::ExpectAt(const std::string& phrase, const Centroid& at) {
  EXPECT_TRUE(NamesAPlace(phrase)) << phrase;
  EXPECT_TRUE(Holds(phrase, at)) << phrase << ", but it is at " << at.x << ", " << at.y;
}

void Checker::CheckName(const Turn& turn) {
  ASSERT_EQ(objects_.size(), 1u);
  const Concept& thing = ConceptOf(*objects_[0]);
  const bool many = IsOneOf(NameAlikePhrases(), turn.question);
  ++done_[many ? "name of many" : "name"];
  EXPECT_EQ(turn.answer, Capitalized(many ? thing.plural : Indefinite(thing)) + ".");
}

// Every thing is named, at the place where it is; so are the text and the background.
void Checker::CheckDescribe(const Turn& turn) {
  const std::string ground = "on " + WithArticle(scene_.things[0].words) + " background.";
  EXPECT_TRUE(turn.answer.ends_with(ground));
  if (!text_.empty()) {
    EXPECT_EQ(BetweenQuotes(turn.answer), text_);
  }
  for (const Thing* object : objects_) {
    const Concept& thing = ConceptOf(*object);
    if (options_.layout == Layout::kAlike) {
      EXPECT_TRUE(Contains(turn.answer, " " + thing.plural + " on "));
      continue;
    }
    const std::string name = Indefinite(thing);
    size_t at = turn.answer.find(" " + name + " ");
    if (turn.answer.starts_with(Capitalized(name) + " ")) at = 0;
    ASSERT_NE(at, std::string::npos) << name;
    std::string rest = turn.answer.substr(at + name.size());
    if (text_.empty()) {
      rest = rest.substr(0, std::min({rest.find(", "), rest.find(" and "), rest.find(" on a")}));
      if (options_.layout != Layout::kSingle) ExpectAt(rest, CentroidOf(*object));
    } else {
      const char* relation = CentroidOfText().y < CentroidOf(*object).y ? "above" : "below";
      EXPECT_TRUE(
          Contains(rest, "\" " + std::string(relation) + (IsPlural(thing) ? " them, " : " it, ")))
          << rest;
    }
    ++done_["description"];
  }
  if (objects_.empty()) ++done_["description of text"];
}

// Scenes of several alike show one thing in many places: their number is counted in
// CountingAnswersAgreeWithThePixels.
void Checker::CheckCount(const Turn& turn) {
  if (options_.layout == Layout::kAlike) return;
  if (IsOneOf(CountThingsPhrases(), turn.question)) {
    ++done_["count of all"];
    EXPECT_EQ(turn.answer, kNumbers[objects_.size()]);
    return;
  }
  ++done_["count of one"];
  const Concept* thing = AskedFor(CountPhrases(), turn.question);
  ASSERT_NE(thing, nullptr);
  EXPECT_NE(Find(*thing), nullptr);
  EXPECT_EQ(turn.answer, "One.");
}

void Checker::CheckWhere(const Turn& turn) {
  if (IsOneOf(WhereTextPhrases(), turn.question)) {
    ++done_["where is the text"];
    return ExpectAt(turn.answer, CentroidOfText());
  }
  const Concept* asked = AskedFor(WherePhrases(), turn.question);
  ASSERT_NE(asked, nullptr);
  const Thing* thing = Find(*asked);
  ASSERT_NE(thing, nullptr);
  ++done_["where"];
  ExpectAt(turn.answer, CentroidOf(*thing));
}

void Checker::CheckWhatAt(const Turn& turn) {
  if (turn.answer == "Nothing.") return CheckNothingAt(turn);
  if (turn.answer.starts_with("The text ")) {
    ++done_["text at"];
    EXPECT_EQ(turn.answer, "The text \"" + text_ + "\".");
    return ExpectAt(turn.question, CentroidOfText());
  }
  const Thing* answer = Answered(turn.answer);
  ASSERT_NE(answer, nullptr);
  for (const char* relation : {" below ", " above ", " next to ", " to the "}) {
    if (Contains(turn.question, relation)) return CheckRelation(turn, *answer);
  }
  ++done_["what is at"];
  ExpectAt(turn.question, CentroidOf(*answer));
}

// "What is to the left of the dog?", "What is below the text?"
void Checker::CheckRelation(const Turn& turn, const Thing& answer) {
  const Thing* named = nullptr;
  for (const Thing* object : objects_) {
    if (object != &answer && Contains(turn.question, Definite(ConceptOf(*object)))) named = object;
  }
  ASSERT_NE(named != nullptr, Contains(turn.question, "the text"));
  const Centroid at = CentroidOf(answer);
  const Centroid from = named != nullptr ? CentroidOf(*named) : CentroidOfText();
  const auto check = [&](const char* relation, bool holds) {
    if (!Contains(turn.question, relation)) return;
    ++done_[relation];
    EXPECT_TRUE(holds) << at.x << ", " << at.y << " from " << from.x << ", " << from.y;
  };
  check(" to the left of ", at.x < from.x);
  check(" to the right of ", at.x > from.x);
  check(" above ", at.y < from.y);
  check(" below ", at.y > from.y);
  check(" next to ", std::abs(at.x - from.x) > std::abs(at.y - from.y));
}

void Checker::CheckNothingAt(const Turn& turn) {
  ++done_["nothing at"];
  EXPECT_TRUE(NamesAPlace(turn.question));
  for (const Thing* object : objects_) {
    EXPECT_FALSE(Holds(turn.question, CentroidOf(*object))) << object->words << " is there";
  }
}

void Checker::CheckPresent(const Turn& turn) {
  bool truth = false;
  if (IsOneOf(TextPresentPhrases(), turn.question)) {
    truth = !text_.empty();
  } else if (Contains(turn.question, "\"")) {
    truth = BetweenQuotes(turn.question) == text_;
  } else {
    const Concept* thing = AskedFor(PresentPhrases(), turn.question);
    ASSERT_NE(thing, nullptr);
    truth = Find(*thing) != nullptr;
  }
  ++done_["present"];
  EXPECT_EQ(turn.answer, truth ? "Yes." : "No.");
}

void Checker::Check(const Turn& turn) {
  SCOPED_TRACE(turn.question + " -> " + turn.answer);
  switch (turn.task) {
    case Task::kName:
      return CheckName(turn);
    case Task::kDescribe:
      return CheckDescribe(turn);
    case Task::kCount:
      return CheckCount(turn);
    case Task::kWhere:
      return CheckWhere(turn);
    case Task::kWhatAt:
      return CheckWhatAt(turn);
    case Task::kPresent:
      return CheckPresent(turn);
    case Task::kBackground:
      ++done_["background"];
      EXPECT_EQ(turn.answer, Capitalized(scene_.things[0].words) + ".");
      return;
    case Task::kRead:
      ++done_["read"];
      EXPECT_EQ(turn.answer, "\"" + text_ + "\"");
      return;
  }
}

TEST(QuestionsTest, AnswersFollowFromWhatTheCellsShow) {
  SceneOptions options;
  options.cell = 16;
  options.turns = 12;
  std::map<std::string, int> done;
  for (Layout layout : kLayouts) {
    options.layout = layout;
    for (uint64_t seed = 1000; seed < 1250; ++seed) {
      SCOPED_TRACE("layout " + std::to_string(static_cast<int>(layout)) + " seed " +
                   std::to_string(seed));
      const Scene scene = MakeScene(TestArt(), options, seed);
      Checker checker(scene, options, &done);
      std::set<std::string> questions;
      for (const Turn& turn : scene.turns) {
        checker.Check(turn);
        EXPECT_TRUE(questions.insert(turn.question).second) << turn.question;
      }
      if (HasFailure()) return;
    }
  }
  for (const char* kind :
       {"name", "name of many", "description", "description of text", "count of all",
        "count of one", "where", "where is the text", "what is at", "text at", "nothing at",
        " to the left of ", " to the right of ", " above ", " below ", " next to ", "present",
        "background", "read"}) {
    EXPECT_GT(done[kind], 20) << kind;
  }
}

TEST(QuestionsTest, YesAndNoAreEvenInEveryLayout) {
  SceneOptions options;
  options.height = options.width = 64;
  for (Layout layout : kLayouts) {
    options.layout = layout;
    int yes = 0, all = 0;
    for (uint64_t seed = 0; seed < 1500; ++seed) {
      for (const Turn& turn : MakeScene(TestArt(), options, seed).turns) {
        if (turn.task != Task::kPresent) continue;
        ++all;
        if (turn.answer == "Yes.") ++yes;
      }
    }
    ASSERT_GT(all, 600);
    // Four standard deviations of a fair coin.
    EXPECT_NEAR(yes, all / 2.0, 4 * std::sqrt(all) / 2) << "layout " << static_cast<int>(layout);
  }
}

// Blobs of the sprites' cyan, joined over edges and corners.
int CountBlobs(const Scene& scene) {
  const int width = scene.width, height = scene.height;
  std::vector<char> cyan(static_cast<size_t>(width) * height);
  for (size_t i = 0; i < cyan.size(); ++i) {
    const uint8_t* p = scene.rgb.data() + 3 * i;
    cyan[i] = p[0] < 70 && p[1] > 190 && p[2] > 190;
  }
  int blobs = 0;
  std::vector<int> stack;
  for (size_t start = 0; start < cyan.size(); ++start) {
    if (!cyan[start]) continue;
    int size = 0;
    stack.push_back(static_cast<int>(start));
    cyan[start] = 0;
    while (!stack.empty()) {
      const int at = stack.back();
      stack.pop_back();
      ++size;
      for (int dy = -1; dy <= 1; ++dy) {
        for (int dx = -1; dx <= 1; ++dx) {
          const int x = at % width + dx, y = at / width + dy;
          if (x < 0 || y < 0 || x >= width || y >= height) continue;
          const int next = y * width + x;
          if (!cyan[static_cast<size_t>(next)]) continue;
          cyan[static_cast<size_t>(next)] = 0;
          stack.push_back(next);
        }
      }
    }
    if (size > 20) ++blobs;
  }
  return blobs;
}

TEST(QuestionsTest, CountingAnswersAgreeWithThePixels) {
  SceneOptions options;
  options.augment = false;
  options.turns = 12;
  for (Layout layout : {Layout::kAlike, Layout::kPair, Layout::kGroup}) {
    options.layout = layout;
    int checked = 0;
    for (uint64_t seed = 0; seed < 150; ++seed) {
      const Scene scene = MakeScene(TestArt(), options, seed);
      const int blobs = CountBlobs(scene);
      for (const Turn& turn : scene.turns) {
        if (turn.task != Task::kCount || turn.answer == "One.") continue;
        ++checked;
        ASSERT_GE(blobs, 1);
        ASSERT_LE(blobs, 6);
        EXPECT_EQ(turn.answer, kNumbers[static_cast<size_t>(blobs)])
            << "seed " << seed << ": " << turn.question;
      }
    }
    EXPECT_GT(checked, 50);
  }
}

}  // namespace
}  // namespace fastvlm::train
