#include "runtime/answer_stream.h"
#include "support/paths.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fastvlm {
namespace {

// Feeds a text to a stream token by token.
class AnswerStreamTest : public ::testing::Test {
 protected:
  struct Shown {
    std::string streamed, text;
    bool stopped;
    std::string stop_text;
  };
  Shown Feed(const std::string& text, bool trim, std::vector<std::string> stop) const {
    AnswerStream stream(tokenizer_, trim, std::move(stop));
    Shown shown;
    for (int32_t token : tokenizer_.Encode(text)) {
      shown.streamed += stream.Add(token);
      if (stream.stopped()) break;
    }
    shown.streamed += stream.Finish();
    shown.text = stream.text();
    shown.stopped = stream.stopped();
    shown.stop_text = stream.stop_text();
    return shown;
  }

  Tokenizer tokenizer_ = Tokenizer::Load(kNano).value();
};

TEST_F(AnswerStreamTest, TrimsTheText) {
  const Shown trimmed = Feed(" \n A fox.\n", true, {});
  EXPECT_EQ(trimmed.streamed, "A fox.");
  EXPECT_EQ(trimmed.text, "A fox.");
  EXPECT_EQ(Feed(" \n A fox.\n", false, {}).text, " \n A fox.\n");
  EXPECT_EQ(Feed(" \n", true, {}).text, "");
}

TEST_F(AnswerStreamTest, EndsBeforeTheFirstStopText) {
  const std::string text = "A fox on the left and a fountain on the right.";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {" on", "A fox"},
      {"right.", "A fox on the left and a fountain on the "},
      {"t and a f", "A fox on the lef"},
      {"A", ""},
      {"right. ", text},
      {"fountains", text}};
  for (const auto& [stop, expected] : cases) {
    const Shown shown = Feed(text, false, {stop});
    EXPECT_EQ(shown.streamed, expected) << stop;
    EXPECT_EQ(shown.text, expected) << stop;
    EXPECT_EQ(shown.stopped, expected != text) << stop;
    EXPECT_EQ(shown.stop_text, expected != text ? stop : "");
  }
  const Shown first = Feed(text, false, {"right", "left", "xyz", "left and"});
  EXPECT_EQ(first.text, "A fox on the ");
  EXPECT_EQ(first.stop_text, "left");
}

TEST_F(AnswerStreamTest, WhiteSpaceBeforeAStopTextIsNotGivenOut) {
  const std::string text = "A fox on the left.\n\n A fountain.";
  for (const char* stop : {"on", "A fountain", "\n A", "fox"}) {
    const Shown shown = Feed(text, true, {stop});
    EXPECT_EQ(shown.streamed, shown.text) << stop;
    EXPECT_TRUE(shown.stopped) << stop;
  }
  EXPECT_EQ(Feed(text, true, {"on"}).streamed, "A fox");
  EXPECT_EQ(Feed(text, true, {}).streamed, text);
}

TEST_F(AnswerStreamTest, GivesOutWhatCannotBecomeAStopText) {
  AnswerStream stream(tokenizer_, false, {"aab"});
  std::string streamed;
  for (char letter : std::string("aaaab")) {
    for (int32_t token : tokenizer_.Encode(std::string(1, letter))) streamed += stream.Add(token);
  }
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(streamed, "aa");
}

TEST_F(AnswerStreamTest, NeverGivesOutHalfACharacter) {
  const std::string text = "\u00e9\U0001F98A \u00e9\U0001F98A";
  AnswerStream stream(tokenizer_, true, {"\u00e9\U0001F98A!"});
  std::string streamed;
  for (int32_t token : tokenizer_.Encode(text)) {
    const std::string piece(stream.Add(token));
    EXPECT_TRUE(IsValidUtf8(piece));
    streamed += piece;
  }
  streamed += stream.Finish();
  EXPECT_EQ(streamed, text);
}

}  // namespace
}  // namespace fastvlm
