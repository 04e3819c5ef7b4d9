#include "train/art/icons.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "support/temporary_directory.h"

namespace fastvlm::train {
namespace {

using ::testing::HasSubstr;

class IconsTest : public ::testing::Test {
 protected:
  Result<IconSet> Open(const std::string& json) {
    directory_.Write("icons.json", json);
    return IconSet::Open(directory_.Path("icons.json"));
  }

  TemporaryDirectory directory_;
};

TEST_F(IconsTest, MakesADocumentOfTheBody) {
  const auto set = Open(R"({"icons": {"dot": {"body": "<circle r=\"1\"/>"}}})");
  ASSERT_TRUE(set.ok()) << set.status().message();
  EXPECT_TRUE(set->Has("dot"));
  EXPECT_FALSE(set->Has("dash"));
  const auto svg = set->Svg("dot");
  ASSERT_TRUE(svg.ok()) << svg.status().message();
  EXPECT_THAT(*svg, HasSubstr("<circle r=\"1\"/>"));
  EXPECT_THAT(*svg, HasSubstr("viewBox=\"0 0 16 16\"")) << "the format's own default size";
}

TEST_F(IconsTest, SizesOfTheIconGoBeforeThoseOfTheSet) {
  const auto set = Open(R"({"width": 64, "height": 32, "left": 1, "icons": {
      "a": {"body": "<g/>"},
      "b": {"body": "<g/>", "left": -2, "top": 3.5, "height": 48}}})");
  ASSERT_TRUE(set.ok()) << set.status().message();
  EXPECT_THAT(set->Svg("a").value(), HasSubstr("viewBox=\"1 0 64 32\""));
  EXPECT_THAT(set->Svg("b").value(), HasSubstr("viewBox=\"-2 3.5 64 48\""));
}

TEST_F(IconsTest, ResolvesAliasesOfAliases) {
  const auto set = Open(R"({"icons": {"dot": {"body": "<circle/>"}},
      "aliases": {"point": {"parent": "dot"}, "speck": {"parent": "point"}}})");
  ASSERT_TRUE(set.ok()) << set.status().message();
  EXPECT_TRUE(set->Has("speck"));
  EXPECT_EQ(set->Svg("speck").value(), set->Svg("dot").value());
}

TEST_F(IconsTest, TwoFlipsOfOneKindUndoEachOther) {
  const auto set = Open(R"({"width": 10, "height": 20, "icons": {"dot": {"body": "<circle/>"}},
      "aliases": {"x": {"parent": "dot", "hFlip": true}, "xx": {"parent": "x", "hFlip": true},
                  "y": {"parent": "dot", "vFlip": true}}})");
  ASSERT_TRUE(set.ok()) << set.status().message();
  EXPECT_THAT(set->Svg("x").value(), HasSubstr("translate(10 0) scale(-1 1)"));
  EXPECT_THAT(set->Svg("y").value(), HasSubstr("translate(0 20) scale(1 -1)"));
  EXPECT_EQ(set->Svg("xx").value(), set->Svg("dot").value());
}

TEST_F(IconsTest, BadEntriesAreErrorsThatNameTheIcon) {
  const auto set = Open(R"({"icons": {
      "number": 7, "empty": {}, "text": {"body": 1}, "flat": {"body": "<g/>", "height": 0},
      "huge": {"body": "<g/>", "width": 1e9}, "word": {"body": "<g/>", "top": "high"}},
      "aliases": {"lost": {"parent": "nothing"}, "orphan": {}, "odd": 3,
                  "one": {"parent": "two"}, "two": {"parent": "one"},
                  "turned": {"parent": "flat", "rotate": 1},
                  "flip": {"parent": "flat", "hFlip": "yes"}}})");
  ASSERT_TRUE(set.ok()) << set.status().message();
  const std::map<std::string, StatusCode> expected = {
      {"absent", StatusCode::kNotFound},    {"lost", StatusCode::kNotFound},
      {"turned", StatusCode::kUnsupported}, {"number", StatusCode::kDataError},
      {"empty", StatusCode::kDataError},    {"text", StatusCode::kDataError},
      {"flat", StatusCode::kDataError},     {"huge", StatusCode::kDataError},
      {"word", StatusCode::kDataError},     {"orphan", StatusCode::kDataError},
      {"odd", StatusCode::kDataError},      {"one", StatusCode::kDataError},
      {"flip", StatusCode::kDataError}};
  for (const auto& [name, code] : expected) {
    const auto svg = set->Svg(name);
    ASSERT_FALSE(svg.ok()) << name;
    EXPECT_EQ(svg.status().code(), code) << name;
    EXPECT_THAT(svg.status().message(), HasSubstr("icons.json: icon \"" + name + "\""));
  }
}

TEST_F(IconsTest, FilesThatAreNoIconSet) {
  EXPECT_EQ(IconSet::Open(directory_.Path("none")).status().code(), StatusCode::kNotFound);
  for (const char* json :
       {"", "[]", "{}", R"({"icons": [1]})", R"({"icons": {}})", R"({"icons": {"a": {"body": ")",
        R"({"icons": {"a": {}}, "aliases": [1]})"}) {
    const auto set = Open(json);
    ASSERT_FALSE(set.ok()) << json;
    EXPECT_EQ(set.status().code(), StatusCode::kDataError) << json;
    EXPECT_THAT(set.status().message(), HasSubstr(directory_.Path("icons.json")));
  }
}

}  // namespace
}  // namespace fastvlm::train
