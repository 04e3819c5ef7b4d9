#include "server/web_assets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

namespace fastvlm {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

const WebAsset* Find(std::string_view path) {
  for (const WebAsset& asset : WebAssets()) {
    if (asset.path == path) return &asset;
  }
  return nullptr;
}

TEST(WebAssets, AreTheFilesByteForByte) {
  std::set<std::string_view> paths;
  for (const WebAsset& asset : WebAssets()) {
    EXPECT_TRUE(paths.insert(asset.path).second) << asset.path << " is there twice";
    std::string file = std::string(FASTVLM_SOURCE_DIR "/web") + std::string(asset.path);
    if (asset.path == "/") file += "index.html";
    if (asset.path.starts_with("/samples/")) {
      file = std::string(FASTVLM_SOURCE_DIR "/models/nano") + std::string(asset.path);
    }
    EXPECT_TRUE(asset.bytes == ReadFile(file)) << file;
    EXPECT_THAT(std::string(asset.etag), ::testing::MatchesRegex("\"[0-9a-f]{16}\""));
  }
}

TEST(WebAssets, NoFileOfThePageIsMissing) {
  const std::filesystem::path root = FASTVLM_SOURCE_DIR "/web";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file() || entry.path().filename() == "CMakeLists.txt") continue;
    std::string path("/");
    path += entry.path().lexically_relative(root).generic_string();
    if (path == "/index.html") path = "/";
    EXPECT_NE(Find(path), nullptr) << path;
  }
}

TEST(WebAssets, TypesAreWhatBrowsersInsistOn) {
  ASSERT_NE(Find("/"), nullptr);
  EXPECT_EQ(Find("/")->content_type, "text/html; charset=utf-8");
  ASSERT_NE(Find("/sw.js"), nullptr);
  EXPECT_EQ(Find("/sw.js")->content_type, "text/javascript; charset=utf-8");
  ASSERT_NE(Find("/manifest.webmanifest"), nullptr);
  EXPECT_EQ(Find("/manifest.webmanifest")->content_type, "application/manifest+json");
  ASSERT_NE(Find("/samples/demo.png"), nullptr);
  EXPECT_EQ(Find("/samples/demo.png")->content_type, "image/png");
}

// No file may come from elsewhere, and the policy forbids code and styles inside the markup.
TEST(WebAssets, MarkupIsWithinThePolicy) {
  for (const WebAsset& asset : WebAssets()) {
    if (!asset.content_type.starts_with("text/")) continue;
    EXPECT_EQ(asset.bytes.find("eval("), std::string_view::npos) << asset.path;
    for (std::string_view remote : {"src=\"http", "src=\"//", "@import", "import(\"http"}) {
      EXPECT_EQ(asset.bytes.find(remote), std::string_view::npos) << asset.path << ": " << remote;
    }
  }
  for (std::string_view inside : {"<style", " style=", " onclick=", " onload=", "javascript:"}) {
    EXPECT_EQ(Find("/")->bytes.find(inside), std::string_view::npos) << inside;
  }
}

}  // namespace
}  // namespace fastvlm
