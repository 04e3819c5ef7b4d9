#include "train/scene/scene.h"

#include <gtest/gtest.h>

#include <algorithm>
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
      options.layout = static_cast<Layout>(1 + seed % 4);
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
