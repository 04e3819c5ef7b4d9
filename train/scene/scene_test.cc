#include "train/scene/scene.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "train/scene/compose.h"
#include "train/scene/corpus.h"
#include "train/scene/test_art.h"
#include "train/scene/usable.h"
#include "train/scene/words.h"

namespace fastvlm::train {
namespace {

constexpr std::array<Layout, 6> kLayouts = {Layout::kSingle, Layout::kPair, Layout::kGroup,
                                            Layout::kAlike,  Layout::kText, Layout::kTextAndThing};

std::string TextOf(const Scene& scene) {
  std::string text;
  for (const Thing& thing : scene.things) {
    if (thing.kind == ThingKind::kCharacter) text += thing.words;
  }
  return text;
}

const Thing* FindThing(const Scene& scene, const Concept& thing) {
  for (const Thing& candidate : scene.things) {
    if (candidate.concept_index < 0) continue;
    if (candidate.words == thing.name) return &candidate;
  }
  return nullptr;
}

// The mean place of the cells where a thing is seen, 0..1 from left to right and top to bottom.
struct Centroid {
  float x = 0, y = 0;
};
Centroid CentroidOf(const Scene& scene, const SceneOptions& options, const Thing& thing) {
  const int index = static_cast<int>(&thing - scene.things.data());
  const int columns = options.width / options.cell, rows = options.height / options.cell;
  float x = 0, y = 0, count = 0;
  for (int i = 0; i < rows * columns; ++i) {
    const std::vector<int>& cell = scene.cells[static_cast<size_t>(i)];
    if (std::find(cell.begin(), cell.end(), index) == cell.end()) continue;
    x += (static_cast<float>(i % columns) + 0.5f) / static_cast<float>(columns);
    y += (static_cast<float>(i / columns) + 0.5f) / static_cast<float>(rows);
    count += 1;
  }
  EXPECT_GT(count, 0) << thing.words << " is in no cell";
  return {x / count, y / count};
}

// Whether the phrase's directions hold for a place; empty phrases hold everywhere.
void ExpectAt(const std::string& phrase, const Centroid& at) {
  SCOPED_TRACE(phrase);
  if (phrase.find("left") != phrase.npos) {
    EXPECT_LT(at.x, 0.5f);
  }
  if (phrase.find("right") != phrase.npos) {
    EXPECT_GT(at.x, 0.5f);
  }
  if (phrase.find("top") != phrase.npos) {
    EXPECT_LT(at.y, 0.5f);
  }
  if (phrase.find("bottom") != phrase.npos) {
    EXPECT_GT(at.y, 0.5f);
  }
  if (phrase.find("middle") != phrase.npos) {
    EXPECT_NEAR(at.x, 0.5f, 0.15f);
    EXPECT_NEAR(at.y, 0.5f, 0.15f);
  }
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

void CheckPresent(const Scene& scene, const Turn& turn) {
  bool truth = false;
  if (IsOneOf(TextPresentPhrases(), turn.question)) {
    truth = !TextOf(scene).empty();
  } else if (turn.question.find('"') != turn.question.npos) {
    truth = BetweenQuotes(turn.question) == TextOf(scene);
  } else {
    const Concept* thing = AskedFor(PresentPhrases(), turn.question);
    ASSERT_NE(thing, nullptr) << turn.question;
    truth = FindThing(scene, *thing) != nullptr;
  }
  EXPECT_EQ(turn.answer, truth ? "Yes." : "No.") << turn.question;
}

void CheckWhere(const Scene& scene, const SceneOptions& options, const Turn& turn) {
  if (IsOneOf(WhereTextPhrases(), turn.question)) return;
  const Concept* concept_asked = AskedFor(WherePhrases(), turn.question);
  ASSERT_NE(concept_asked, nullptr) << turn.question;
  const Thing* thing = FindThing(scene, *concept_asked);
  ASSERT_NE(thing, nullptr) << turn.question;
  ExpectAt(turn.answer, CentroidOf(scene, options, *thing));
}

// The thing whose indefinite form the answer is; null if none.
const Thing* Answered(const Scene& scene, const std::string& answer) {
  for (const Thing& thing : scene.things) {
    if (thing.kind != ThingKind::kObject) continue;
    const Concept& about = TestArt().concepts()[static_cast<size_t>(thing.concept_index)];
    if (Capitalized(Indefinite(about)) + "." == answer) return &thing;
  }
  return nullptr;
}

// "What is to the left of the dog?"
void CheckRelation(const Scene& scene, const SceneOptions& options, const Turn& turn) {
  const Thing* answer = Answered(scene, turn.answer);
  ASSERT_NE(answer, nullptr);
  const Centroid at = CentroidOf(scene, options, *answer);
  for (const Thing& other : scene.things) {
    if (&other == answer || other.kind == ThingKind::kBackground) continue;
    const Centroid from = CentroidOf(scene, options, other);
    const auto asks = [&](const char* word) {
      return turn.question.find(word) != turn.question.npos;
    };
    if (asks(" to the left of ")) {
      EXPECT_LT(at.x, from.x);
    }
    if (asks(" to the right of ")) {
      EXPECT_GT(at.x, from.x);
    }
    if (asks(" above ")) {
      EXPECT_LT(at.y, from.y);
    }
    if (asks(" below ")) {
      EXPECT_GT(at.y, from.y);
    }
  }
}

// "A red apple." names the only thing at the place that the question is about.
void CheckWhatAt(const Scene& scene, const SceneOptions& options, const Turn& turn) {
  for (const char* relation : {" below ", " above ", " next to ", " to the "}) {
    if (turn.question.find(relation) != turn.question.npos)
      return CheckRelation(scene, options, turn);
  }
  if (const Thing* thing = Answered(scene, turn.answer)) {
    return ExpectAt(turn.question, CentroidOf(scene, options, *thing));
  }
  EXPECT_TRUE(turn.answer == "Nothing." || turn.answer == "The text \"" + TextOf(scene) + "\".")
      << turn.answer;
}

void CheckTurn(const Scene& scene, const SceneOptions& options, const Turn& turn) {
  SCOPED_TRACE(turn.question + " -> " + turn.answer);
  switch (turn.task) {
    case Task::kPresent:
      return CheckPresent(scene, turn);
    case Task::kWhere:
      return CheckWhere(scene, options, turn);
    case Task::kWhatAt:
      return CheckWhatAt(scene, options, turn);
    case Task::kRead:
      EXPECT_EQ(turn.answer, "\"" + TextOf(scene) + "\"");
      return;
    case Task::kBackground:
      EXPECT_EQ(turn.answer, Capitalized(scene.things[0].words) + ".");
      return;
    case Task::kDescribe:
      EXPECT_NE(turn.answer.find(scene.things[0].words + " background."), std::string::npos);
      if (!TextOf(scene).empty()) {
        EXPECT_EQ(BetweenQuotes(turn.answer), TextOf(scene));
      }
      return;
    default:
      return;
  }
}

TEST(SceneTest, TheSameSeedGivesTheSameScene) {
  std::set<std::vector<uint8_t>> different;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SceneOptions options;
    options.pad = true;
    const Scene a = MakeScene(TestArt(), options, seed), b = MakeScene(TestArt(), options, seed);
    EXPECT_EQ(a.rgb, b.rgb) << seed;
    EXPECT_EQ(a.cells, b.cells) << seed;
    ASSERT_EQ(a.turns.size(), b.turns.size()) << seed;
    for (size_t i = 0; i < a.turns.size(); ++i) {
      EXPECT_EQ(a.turns[i].question, b.turns[i].question);
      EXPECT_EQ(a.turns[i].answer, b.turns[i].answer);
    }
    different.insert(a.rgb);
  }
  EXPECT_EQ(different.size(), 40u);
}

TEST(SceneTest, AnswersFollowFromWhatTheCellsShow) {
  SceneOptions options;
  options.cell = 16;
  options.turns = 12;
  for (Layout layout : kLayouts) {
    options.layout = layout;
    for (uint64_t seed = 1000; seed < 1250; ++seed) {
      SCOPED_TRACE("layout " + std::to_string(static_cast<int>(layout)) + " seed " +
                   std::to_string(seed));
      const Scene scene = MakeScene(TestArt(), options, seed);
      std::set<std::string> questions;
      for (const Turn& turn : scene.turns) {
        CheckTurn(scene, options, turn);
        EXPECT_TRUE(questions.insert(turn.question).second) << turn.question;
      }
      if (HasFailure()) return;
    }
  }
}

TEST(SceneTest, YesAndNoAreEvenInEveryLayout) {
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

TEST(SceneTest, CountsAreWhatWasDrawn) {
  std::map<size_t, int> seen;
  SceneOptions options;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    const CellGrid grid(6, 6, 32, 0, 0);
    Canvas canvas(192, 192);
    const Composition composition =
        Compose(TestArt(), options, Layout::kAlike, grid, canvas, random);
    const size_t count = composition.items.size();
    ++seen[count];
    options.layout = Layout::kAlike;
    for (size_t i = 0; i < count; ++i) {
      float area = 0;
      for (float pixels : composition.items[i].coverage) area += pixels;
      EXPECT_GT(area, 200) << seed;  // visible
      for (size_t k = 0; k < i; ++k) {
        const float dx = composition.items[i].x - composition.items[k].x;
        const float dy = composition.items[i].y - composition.items[k].y;
        EXPECT_GT(dx * dx + dy * dy, 24 * 24) << seed;
      }
    }
  }
  for (size_t count = 2; count <= 6; ++count) EXPECT_GT(seen[count], 30) << count;
  EXPECT_EQ(seen.size(), 5u);
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

TEST(SceneTest, CountingAnswersAgreeWithThePixels) {
  constexpr std::array<const char*, 7> kNumbers = {"",      "One.",  "Two.", "Three.",
                                                   "Four.", "Five.", "Six."};
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

TEST(SceneTest, CellsAreCompleteAtEverySize) {
  struct Size {
    int height, width, cell;
  };
  for (const Size& size : {Size{64, 64, 32}, Size{64, 512, 32}, Size{512, 128, 64},
                           Size{192, 256, 32}, Size{512, 512, 64}, Size{160, 96, 16}}) {
    for (uint64_t seed = 0; seed < 60; ++seed) {
      SceneOptions options;
      options.height = size.height;
      options.width = size.width;
      options.cell = size.cell;
      options.pad = true;
      const Scene scene = MakeScene(TestArt(), options, seed);
      SCOPED_TRACE(std::to_string(size.width) + "x" + std::to_string(size.height) + " seed " +
                   std::to_string(seed));
      ASSERT_EQ(scene.rgb.size(), static_cast<size_t>(size.height) * size.width * 3);
      ASSERT_EQ(scene.cells.size(),
                static_cast<size_t>(size.height / size.cell) * (size.width / size.cell));
      std::set<int> shown;
      for (const std::vector<int>& cell : scene.cells) {
        ASSERT_FALSE(cell.empty());
        for (int index : cell) {
          ASSERT_GE(index, 0);
          ASSERT_LT(index, static_cast<int>(scene.things.size()));
          shown.insert(index);
        }
        EXPECT_EQ(std::set<int>(cell.begin(), cell.end()).size(), cell.size());
      }
      for (int i = 1; i < static_cast<int>(scene.things.size()); ++i) {
        EXPECT_TRUE(shown.count(i)) << scene.things[static_cast<size_t>(i)].words;
      }
      EXPECT_FALSE(scene.turns.empty());
      EXPECT_LE(scene.turns.size(), 4u);
    }
  }
}

TEST(SceneTest, StylesKeptForTestsAreNeverMixed) {
  for (uint64_t seed = 0; seed < 120; ++seed) {
    for (bool held_out : {false, true}) {
      SceneOptions options;
      options.layout = kLayouts[seed % 4];
      options.held_out_style = held_out;
      options.augment = false;
      const Scene scene = MakeScene(TestArt(), options, seed);
      int cyan = 0, magenta = 0;
      for (size_t i = 0; i < scene.rgb.size(); i += 3) {
        const uint8_t* p = scene.rgb.data() + i;
        if (p[0] < 10 && p[1] > 245 && p[2] > 245) ++cyan;
        if (p[0] > 245 && p[1] < 10 && p[2] > 245) ++magenta;
      }
      EXPECT_EQ(cyan > 0, !held_out) << seed;
      EXPECT_EQ(magenta > 0, held_out) << seed;
    }
  }
}

TEST(SceneTest, StylesForTrainingAloneAreInNoTestPicture) {
  const TemporaryDirectory directory;
  CacheContents contents = TestContents();
  contents.styles[1] = {"extra", false, true};
  ASSERT_TRUE(WriteCache(directory.Path("art.cache"), std::move(contents)).ok());
  const auto art = Art::Open(directory.Path("art.cache"));
  ASSERT_TRUE(art.ok()) << art.status().message();
  const auto magenta = [](const std::vector<uint8_t>& rgb) {
    int count = 0;
    for (size_t i = 0; i < rgb.size(); i += 3) {
      if (rgb[i] > 200 && rgb[i + 1] < 60 && rgb[i + 2] > 200) ++count;
    }
    return count > 40;
  };
  int scenes = 0, crops = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SceneOptions options;
    options.layout = Layout::kSingle;
    scenes += magenta(MakeScene(*art, options, seed).rgb);
    crops += magenta(MakeCrop(*art, 64, 0, false, true, seed).rgb);
    options.augment = false;
    EXPECT_FALSE(magenta(MakeScene(*art, options, seed).rgb)) << seed;
    EXPECT_FALSE(magenta(MakeCrop(*art, 64, 0, false, false, seed).rgb)) << seed;
    options.held_out_style = false;
    EXPECT_EQ(MakeScene(*art, options, seed).rgb, MakeScene(TestArt(), options, seed).rgb)
        << "more styles change a test picture";
  }
  EXPECT_GT(scenes, 5);
  EXPECT_GT(crops, 5);
}

TEST(SceneTest, LayoutsComeByTheirWeights) {
  SceneOptions options;
  options.layout_weights = {0, 0, 0, 0, 1, 1};
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const Scene scene = MakeScene(TestArt(), options, seed);
    EXPECT_TRUE(std::any_of(scene.things.begin(), scene.things.end(), [](const Thing& thing) {
      return thing.kind == ThingKind::kCharacter;
    })) << seed;
  }
}

TEST(SceneTest, TextLiesInsideThePicture) {
  for (Layout layout : {Layout::kText, Layout::kTextAndThing}) {
    for (uint64_t seed = 0; seed < 300; ++seed) {
      SceneOptions options;
      const int side = seed % 3 == 0 ? 64 : 192;
      options.height = side;
      options.width = seed % 5 == 0 ? 2 * side : side;
      Random random(seed);
      Canvas canvas(options.height, options.width);
      const CellGrid grid(options.height / 32, options.width / 32, 32, 0, 0);
      const Composition composition = Compose(TestArt(), options, layout, grid, canvas, random);
      // A box glyph that is cut anywhere covers less than its area at this height.
      const float scale = composition.text_height / 70;
      EXPECT_GE(composition.text_height,
                std::max(0.11f * static_cast<float>(side), 12.0f) * 0.999f);
      for (const Coverage& coverage : composition.characters) {
        float area = 0;
        for (float pixels : coverage) area += pixels;
        EXPECT_NEAR(area / (40 * 70 * scale * scale), 1, 0.06)
            << "seed " << seed << " text " << composition.text;
      }
      EXPECT_FALSE(composition.text.empty());
      EXPECT_LE(composition.text.size(), 6u);
    }
  }
}

TEST(SceneTest, LayoutsAreDrawnByTheirWeights) {
  SceneOptions options;
  options.height = options.width = 64;
  int with_text = 0, describing = 0, turns = 0;
  constexpr int kScenes = 3000;
  for (uint64_t seed = 0; seed < kScenes; ++seed) {
    const Scene scene = MakeScene(TestArt(), options, seed);
    if (!TextOf(scene).empty()) ++with_text;
    for (const Turn& turn : scene.turns) {
      ++turns;
      if (turn.task == Task::kDescribe) ++describing;
    }
  }
  EXPECT_NEAR(with_text, 0.38 * kScenes, 4 * std::sqrt(0.38 * 0.62 * kScenes));
  EXPECT_GT(describing, 0.2 * turns);
}

TEST(SceneTest, BarsAreBlackAndOutsideThePicture) {
  SceneOptions options;
  options.pad = true;
  options.layout = Layout::kSingle;
  int barred = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const Scene scene = MakeScene(TestArt(), options, seed);
    const auto is_black = [&](int x, int y) {
      const uint8_t* p = scene.rgb.data() + 3 * (y * scene.width + x);
      return p[0] == 0 && p[1] == 0 && p[2] == 0;
    };
    bool left = true, top = true;
    for (int i = 0; i < 192; ++i) left = left && is_black(0, i) && is_black(191, i);
    for (int i = 0; i < 192; ++i) top = top && is_black(i, 0) && is_black(i, 191);
    if (!left && !top) continue;
    ++barred;
    EXPECT_NE(scene.things[0].words, "black") << seed;
    EXPECT_FALSE(left && top) << seed;
  }
  EXPECT_GT(barred, 15);
  EXPECT_LT(barred, 60);
}

TEST(CropTest, ShowsAThingOrCharacters) {
  int with_text = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const Crop crop = MakeCrop(TestArt(), 64, 0.5, false, true, seed);
    EXPECT_EQ(crop.rgb.size(), 64u * 64 * 3);
    EXPECT_NE(crop.concept_index < 0, crop.characters.empty());
    EXPECT_LE(crop.characters.size(), 3u);
    EXPECT_FALSE(IsUnclear(crop.characters)) << crop.characters;
    EXPECT_EQ(crop.rgb, MakeCrop(TestArt(), 64, 0.5, false, true, seed).rgb);
    if (crop.concept_index < 0) ++with_text;
  }
  EXPECT_NEAR(with_text, 200, 40);
}

TEST(CorpusTest, HoldsEveryWordOfTheScenes) {
  std::set<std::string> known;
  auto words_of = [](const std::string& line) {
    std::vector<std::string> words(1);
    for (char character : line) {
      if (std::string_view(" .,?").find(character) != std::string_view::npos) {
        words.emplace_back();
      } else {
        words.back() += character;
      }
    }
    return words;
  };
  for (const std::string& line : SystematicLines(TestArt())) {
    EXPECT_EQ(line.find('"'), std::string::npos) << line;
    for (const std::string& word : words_of(line)) known.insert(word);
  }
  SceneOptions options;
  options.height = options.width = 64;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    for (const Turn& turn : MakeScene(TestArt(), options, seed).turns) {
      Scene one;
      one.turns = {turn};
      if (turn.question.find('"') != turn.question.npos) continue;
      for (const std::string& line : SceneLines(one)) {
        EXPECT_EQ(line.find('"'), std::string::npos) << line;
        for (const std::string& word : words_of(line)) EXPECT_TRUE(known.count(word)) << line;
      }
    }
  }
}

TEST(UsableTest, SaysWhatIsMissing) {
  EXPECT_TRUE(CheckUsable(TestArt(), false, false).ok());
  EXPECT_TRUE(CheckUsable(TestArt(), true, true).ok());
  const TemporaryDirectory directory;
  CacheContents contents = TestContents();
  contents.styles[1].held_out = contents.fonts[1].held_out = false;
  ASSERT_TRUE(WriteCache(directory.Path("a.cache"), std::move(contents)).ok());
  const Result<Art> art = Art::Open(directory.Path("a.cache"));
  ASSERT_TRUE(art.ok()) << art.status().message();
  EXPECT_NE(CheckUsable(*art, true, false).message().find("held-out styles"), std::string::npos);
  EXPECT_NE(CheckUsable(*art, false, true).message().find("held-out font"), std::string::npos);
}

}  // namespace
}  // namespace fastvlm::train
