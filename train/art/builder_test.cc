#include "train/art/builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/temporary_directory.h"
#include "train/art/cache.h"
#include "train/art/sheet.h"

namespace fastvlm::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kRed[] = R"(<rect width=\"16\" height=\"16\" fill=\"#f00\"/>)";
constexpr char kBlue[] = R"(<rect width=\"16\" height=\"16\" fill=\"#00f\"/>)";

class BuilderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteIcons("noto", fmt::format(R"({{"icons": {{"cat": {{"body": "{}"}}}}, )"
                                   R"("aliases": {{"hound": {{"parent": "cat"}}}}}})",
                                   kRed));
    WriteIcons("openmoji", fmt::format(R"({{"icons": {{"dog": {{"body": "{}"}}}}}})", kBlue));
    const auto rows = ParseConcepts(
        "animal\tcat\tcats\ta\tc\tcat\n"
        "animal\tdog\tdogs\ta\tc\tdog hound\n",
        "table");
    ASSERT_TRUE(rows.ok()) << rows.status().message();
    sources_.concepts = *rows;
    sources_.styles = {Style{"noto", false}, Style{"openmoji", true}};
    sources_.icon_directory = directory_.path();
    sources_.font_directory = "/usr/share/fonts";
    for (const FontFile& font : FontFiles()) {
      if (sources_.fonts.empty() && FindFontFile(sources_.font_directory, font).ok()) {
        sources_.fonts.push_back(font);
      }
    }
    if (sources_.fonts.empty()) GTEST_SKIP() << "none of the fonts is installed";
  }

  void WriteIcons(const std::string& style, const std::string& json) {
    std::filesystem::create_directories(directory_.Path(style));
    directory_.Write(style + "/icons.json", json);
  }

  Status Build() { return BuildCache(sources_, output_, nullptr).status(); }

  void ExpectError(StatusCode code, const std::string& message) {
    const Status status = Build();
    EXPECT_EQ(status.code(), code) << status.message();
    EXPECT_THAT(status.message(), HasSubstr(message));
    EXPECT_FALSE(FileExists(output_)) << "no half-made cache may be left";
  }

  TemporaryDirectory directory_;
  std::string output_ = directory_.Path("art.cache");
  ArtSources sources_;
};

TEST_F(BuilderTest, IconsAndAliasesBecomeSprites) {
  int64_t rendered = 0, all = 0;
  const auto report = BuildCache(sources_, output_, [&](int64_t done, int64_t jobs) {
    EXPECT_GE(done, rendered);
    rendered = done;
    all = jobs;
  });
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_THAT(report->sprites, ElementsAre(2, 1));
  EXPECT_EQ(rendered, 3);
  EXPECT_EQ(all, 3);
  const auto art = Art::Open(output_);
  ASSERT_TRUE(art.ok()) << art.status().message();
  ASSERT_EQ(art->concepts().size(), 2u);
  EXPECT_EQ(art->concepts()[1].plural, "dogs");
  EXPECT_TRUE(art->styles()[1].held_out);
  EXPECT_EQ(art->Sprite(0, 1), nullptr);
  const auto first_pixel = [&](int concept_index, int style) {
    const uint8_t* sprite = art->Sprite(concept_index, style);
    return std::vector<uint8_t>(sprite, sprite + 4);
  };
  EXPECT_THAT(first_pixel(0, 0), ElementsAre(255, 0, 0, 255));
  EXPECT_THAT(first_pixel(1, 0), ElementsAre(255, 0, 0, 255)) << "by the alias";
  EXPECT_THAT(first_pixel(1, 1), ElementsAre(0, 0, 255, 255));
  ASSERT_NE(art->FindGlyph(0, 'g'), nullptr);

  const std::string sheet = directory_.Path("sheet.png");
  EXPECT_TRUE(WriteSheet(*art, sheet).ok());
  EXPECT_TRUE(FileExists(sheet));
  EXPECT_EQ(WriteSheet(*art, directory_.Path("none/sheet.png")).code(), StatusCode::kIoError);
}

TEST_F(BuilderTest, TheSameSourcesGiveTheSameFile) {
  ASSERT_TRUE(Build().ok());
  const auto once = ReadBinaryFile(output_, size_t{1} << 30).value();
  sources_.threads = 1;
  ASSERT_TRUE(Build().ok());
  EXPECT_TRUE(once == ReadBinaryFile(output_, size_t{1} << 30).value());
}

TEST_F(BuilderTest, AMissingPackageSaysHowToFetchIt) {
  directory_.Remove("openmoji");
  ExpectError(StatusCode::kNotFound, "openmoji/icons.json");
  EXPECT_THAT(Build().message(), HasSubstr("scripts/fetch-art.sh"));
}

TEST_F(BuilderTest, AMissingFontNamesItsPackage) {
  sources_.font_directory = directory_.path();
  ExpectError(StatusCode::kNotFound, "install the package fonts-");
}

TEST_F(BuilderTest, AConceptWithoutATrainingIconIsAnError) {
  WriteIcons("noto", fmt::format(R"({{"icons": {{"cat": {{"body": "{}"}}}}}})", kRed));
  ExpectError(StatusCode::kNotFound, "the concept \"dog\"");
}

TEST_F(BuilderTest, BrokenAndEmptyDrawingsNameFileAndIcon) {
  WriteIcons("openmoji", R"({"icons": {"dog": {"body": "<rect"}}})");
  ExpectError(StatusCode::kDataError, "openmoji/icons.json: icon \"dog\": broken SVG");
  WriteIcons("openmoji", R"({"icons": {"dog": {"body": "<g/>"}}})");
  ExpectError(StatusCode::kDataError, "openmoji/icons.json: icon \"dog\": the SVG draws nothing");
  WriteIcons("openmoji", R"({"icons": {"dog": {}}})");
  ExpectError(StatusCode::kDataError, "openmoji/icons.json: icon \"dog\": no SVG \"body\"");
}

TEST_F(BuilderTest, AFailedBuildKeepsTheOldCache) {
  ASSERT_TRUE(Build().ok());
  WriteIcons("noto", "{");
  EXPECT_EQ(Build().code(), StatusCode::kDataError);
  EXPECT_TRUE(Art::Open(output_).ok());
}

TEST_F(BuilderTest, AFullDiskIsAnError) {
  output_ = "/dev/full";
  EXPECT_EQ(Build().code(), StatusCode::kIoError);
}

TEST(DefaultSourcesTest, AreTheTablesOfTheProgram) {
  const auto sources = DefaultSources();
  ASSERT_TRUE(sources.ok()) << sources.status().message();
  EXPECT_EQ(sources->concepts.size(), 338u);
  EXPECT_EQ(sources->styles.size(), 13u);
  EXPECT_EQ(sources->fonts.size(), 18u);
}

}  // namespace
}  // namespace fastvlm::train
