#include "train/art/sprites.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "support/temporary_directory.h"

namespace fastvlm::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Document(const std::string& box, const std::string& body) {
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"" + box + "\">" + body + "</svg>";
}

std::array<int, 4> Pixel(const std::vector<uint8_t>& rgba, int side, int x, int y) {
  std::array<int, 4> pixel;
  for (size_t c = 0; c < 4; ++c) pixel[c] = rgba[size_t(y * side + x) * 4 + c];
  return pixel;
}

TEST(RenderSvgTest, PixelsAreRedGreenBlueAlpha) {
  const auto sprite = RenderSvg(
      Document("0 0 2 2", "<rect width=\"1\" height=\"2\" fill=\"#ff8020\"/>"), 8, "test");
  ASSERT_TRUE(sprite.ok()) << sprite.status().message();
  ASSERT_EQ(sprite->size(), 8u * 8 * 4);
  EXPECT_THAT(Pixel(*sprite, 8, 1, 6), ElementsAre(0xff, 0x80, 0x20, 0xff));
  EXPECT_THAT(Pixel(*sprite, 8, 6, 1), ElementsAre(0, 0, 0, 0));
}

TEST(RenderSvgTest, ColoursArePremultiplied) {
  const auto sprite = RenderSvg(
      Document("0 0 1 1", "<rect width=\"1\" height=\"1\" fill=\"#ff0000\" opacity=\"0.4\"/>"), 4,
      "test");
  ASSERT_TRUE(sprite.ok()) << sprite.status().message();
  EXPECT_THAT(Pixel(*sprite, 4, 2, 2), ElementsAre(102, 0, 0, 102));
}

TEST(RenderSvgTest, KeepsTheAspectRatioAndCentres) {
  // Twice as wide as high: rows 0-1 and 6-7 of 8 stay empty.
  const auto sprite = RenderSvg(
      Document("10 10 4 2", "<rect x=\"10\" y=\"10\" width=\"4\" height=\"2\"/>"), 8, "test");
  ASSERT_TRUE(sprite.ok()) << sprite.status().message();
  for (int y = 0; y < 8; ++y) {
    for (int x = 0; x < 8; ++x) {
      EXPECT_EQ(Pixel(*sprite, 8, x, y)[3], y >= 2 && y < 6 ? 255 : 0) << x << ", " << y;
    }
  }
}

TEST(DrawLinesTest, ThinLinesAndTheBordersOfWhatIsBlack) {
  constexpr int kSide = 128;
  const std::string bar = "<rect x=\"8\" y=\"8\" width=\"4\" height=\"112\"/>";
  const std::string block = "<rect x=\"32\" y=\"32\" width=\"64\" height=\"64\"/>";
  const auto lines = RenderSvg(Document("0 0 128 128", bar + block), kSide, "here");
  auto sprite = RenderSvg(
      Document("0 0 128 128", "<rect width=\"100\" height=\"128\" fill=\"#f00\"/>"), kSide, "here");
  ASSERT_TRUE(lines.ok() && sprite.ok());
  DrawLines(*lines, kSide, &*sprite);
  const auto red = [&](int x, int y) { return int{Pixel(*sprite, kSide, x, y)[0]}; };
  EXPECT_EQ(red(10, 60), 0) << "a thin line";
  EXPECT_EQ(red(33, 60), 0) << "a border";
  EXPECT_EQ(red(64, 64), 255) << "what it encloses keeps its colour";
  EXPECT_EQ(red(20, 60), 255);
  EXPECT_EQ(Pixel(*sprite, kSide, 110, 60)[3], 0);
}

TEST(RenderSvgTest, BrokenSvgIsAnErrorThatNamesItsPlace) {
  for (const std::string& svg :
       {std::string(), std::string("words"), std::string("<svg>"), std::string("<html></html>"),
        Document("0 0 1 1", "<rect width=\"1\"><g></rect>")}) {
    const auto sprite = RenderSvg(svg, 8, "set: icon \"x\"");
    ASSERT_FALSE(sprite.ok()) << svg;
    EXPECT_EQ(sprite.status().code(), StatusCode::kDataError);
    EXPECT_THAT(sprite.status().message(), HasSubstr("set: icon \"x\": "));
  }
}

TEST(RenderSvgTest, ADrawingOfNothingIsAnError) {
  for (const char* body :
       {"", "<rect width=\"0\" height=\"1\"/>", "<rect width=\"1\" height=\"1\" fill=\"none\"/>"}) {
    const auto sprite = RenderSvg(Document("0 0 1 1", body), 8, "here");
    ASSERT_FALSE(sprite.ok()) << body;
    EXPECT_THAT(sprite.status().message(), HasSubstr("here: the SVG draws nothing"));
  }
}

TEST(RenderSvgTest, OtherFilesAreNotRead) {
  TemporaryDirectory directory;
  directory.Write("other.svg", Document("0 0 1 1", "<rect width=\"1\" height=\"1\"/>"));
  for (const std::string scheme : {"", "file://"}) {
    const std::string link = scheme + directory.Path("other.svg");
    const std::string body = "<image href=\"" + link + "\" width=\"1\" height=\"1\"/>";
    const auto sprite = RenderSvg(Document("0 0 1 1", body), 8, "here");
    ASSERT_FALSE(sprite.ok());
    EXPECT_THAT(sprite.status().message(), HasSubstr("draws nothing"));
  }
}

}  // namespace
}  // namespace fastvlm::train
