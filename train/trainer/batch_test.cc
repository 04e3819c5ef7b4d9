#include "train/trainer/batch.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "train/trainer/test_run.h"

namespace fastvlm::train {
namespace {

class SceneBatchTest : public ::testing::Test {
 protected:
  Scene MakeToyScene(uint64_t seed) const {
    SceneOptions options;
    options.height = options.width = 128;
    options.turns = 12;
    return MakeScene(art_, options, seed);
  }
  std::string Text(int64_t id) const {
    return tokenizer_.Decode(std::vector<int32_t>{static_cast<int32_t>(id)}, true);
  }

  const ToyRun run_;
  const Art art_ = Art::Open(run_.art_path()).value();
  const Tokenizer tokenizer_ = Tokenizer::Load(run_.tokenizer_path()).value();
  const Vocabulary vocabulary_ = Vocabulary::Create(art_, tokenizer_).value();
};

TEST_F(SceneBatchTest, NamesInQuestionsLookAtWhatTheyName) {
  const int64_t prefix = static_cast<int64_t>(vocabulary_.prefix().size());
  int found = 0, absent = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const Scene scene = MakeToyScene(seed);
    const SceneBatch batch = MakeSceneBatch(vocabulary_, {&scene, 1}, 32);
    const int64_t before = prefix + static_cast<int64_t>(scene.cells.size());
    int64_t row = 0;
    for (const Turn& turn : scene.turns) {
      if (turn.subject < 0) continue;
      const int64_t place = batch.look_rows[row].item<int64_t>() - before;
      const std::string name = turn.question.substr(0, turn.subject_end);
      const Concept& subject = art_.concepts()[static_cast<size_t>(turn.subject)];
      ASSERT_TRUE(name.ends_with(subject.name) || name.ends_with(subject.plural)) << turn.question;
      ASSERT_TRUE(name.ends_with(Text(batch.turn_ids[0][place].item<int64_t>()))) << turn.question;
      for (int64_t j = 0; j < batch.look.index.size(1); ++j) {
        if (batch.look.weight[row][j].item<float>() == 0) continue;
        const int64_t token = batch.look.index[row][j].item<int64_t>();
        bool shown = false;
        for (size_t c = 0; c < scene.cells.size(); ++c) {
          for (int thing : scene.cells[c]) {
            if (scene.things[static_cast<size_t>(thing)].concept_index != turn.subject) continue;
            if (token == 0 || token == prefix + static_cast<int64_t>(c)) shown = true;
          }
        }
        EXPECT_EQ(shown, token != 0) << turn.question;
        ++(token == 0 ? absent : found);
      }
      ++row;
    }
    EXPECT_EQ(batch.look_rows.size(0), row);
  }
  EXPECT_GT(found, 100);
  EXPECT_GT(absent, 5);
}

TEST_F(SceneBatchTest, HintsForetellTheContentOfAnswersAfterThem) {
  std::string content;
  for (int32_t id : vocabulary_.ContentIds("At the top left.")) content += Text(id);
  EXPECT_EQ(content, " top left");
  int strong = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Scene scene = MakeToyScene(seed);
    const SceneBatch batch = MakeSceneBatch(vocabulary_, {&scene, 1}, 32);
    const int64_t answers = static_cast<int64_t>(batch.turn_of_target.size());
    ASSERT_EQ(batch.source.size(0), batch.target.size(0));
    ASSERT_EQ(batch.source.size(0), batch.weight.size(0));
    size_t tokens = 0;
    for (const Turn& turn : scene.turns) tokens += vocabulary_.AnswerIds(turn.answer).size();
    EXPECT_EQ(static_cast<size_t>(answers), tokens);
    const int64_t before = static_cast<int64_t>(vocabulary_.prefix().size() + scene.cells.size());
    // Those of the token that looks are the strong ones.
    std::set<int64_t> names;
    for (int64_t i = 0; i < batch.look_rows.size(0); ++i) {
      names.insert(batch.look_rows[i].item<int64_t>());
    }
    for (int64_t i = answers; i < batch.source.size(0); ++i) {
      const int64_t source = batch.source[i].item<int64_t>();
      EXPECT_GE(source, before);
      if (batch.weight[i].item<float>() < 0.4f) continue;
      EXPECT_TRUE(names.contains(source));
      ++strong;
    }
  }
  EXPECT_GT(strong, 20);
}

TEST_F(SceneBatchTest, CellsHaveTheirPlace) {
  const Scene scene = MakeToyScene(1);  // four by four cells
  const SceneBatch batch = MakeSceneBatch(vocabulary_, {&scene, 1}, 32);
  ASSERT_EQ(batch.places.size(0), 16);
  for (int64_t cell = 0; cell < 16; ++cell) {
    EXPECT_EQ(batch.places[cell][0].item<int64_t>(), cell / 4 >= 2) << cell;
    EXPECT_EQ(batch.places[cell][1].item<int64_t>(), cell % 4 >= 2) << cell;
  }
  EXPECT_EQ(vocabulary_.place_ids().size(), 4u);
}

}  // namespace
}  // namespace fastvlm::train
