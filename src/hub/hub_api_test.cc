#include "hub/hub_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/temporary_directory.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

const std::string kSha1(40, 'a');
const std::string kSha256(64, 'b');

nlohmann::json Listing() {
  return {{"id", "apple/FastVLM-0.5B"},
          {"sha", kSha1},
          {"cardData", {{"license", "apple-amlr"}, {"tags", {"x"}}}},
          {"siblings",
           {{{"rfilename", "config.json"}, {"blobId", kSha1}, {"size", 1363}},
            {{"rfilename", "model.safetensors"},
             {"blobId", kSha1},
             {"size", 7},
             {"lfs", {{"sha256", kSha256}, {"size", 1517667872}, {"pointerSize", 135}}}}}}};
}

TEST(HubApi, Urls) {
  const ModelSource source = ParseModelSource("a/b@refs/pr/1").value();
  EXPECT_EQ(ListingUrl("https://h", source),
            "https://h/api/models/a/b/revision/refs%2Fpr%2F1?blobs=true");
  EXPECT_EQ(FileUrl("https://h", source, "c0", "config.json"),
            "https://h/a/b/resolve/c0/config.json");
}

TEST(HubApi, ParsesAListing) {
  const HubListing listing = ParseHubListing(Listing().dump(), "u").value();
  EXPECT_EQ(listing.commit, kSha1);
  EXPECT_EQ(listing.licence, "apple-amlr");
  ASSERT_EQ(listing.files.size(), 2u);
  EXPECT_EQ(listing.files[0].name, "config.json");
  EXPECT_EQ(listing.files[0].size, 1363);
  EXPECT_EQ(listing.files[0].digest.kind, DigestKind::kGitBlob);
  EXPECT_EQ(listing.files[0].digest.hex, kSha1);
  EXPECT_EQ(listing.files[1].size, 1517667872);
  EXPECT_EQ(listing.files[1].digest.kind, DigestKind::kSha256);
  EXPECT_EQ(listing.files[1].digest.hex, kSha256);
}

TEST(HubApi, WrongAnswers) {
  const auto fails = [](const nlohmann::json& answer, const char* part) {
    const auto listing = ParseHubListing(answer.dump(), "https://hub/x");
    ASSERT_FALSE(listing.ok()) << answer.dump();
    EXPECT_EQ(listing.status().code(), StatusCode::kDataError);
    EXPECT_THAT(listing.status().message(), HasSubstr(part));
    EXPECT_THAT(listing.status().message(), HasSubstr("https://hub/x"));
  };
  const auto changed = [](const char* pointer, const nlohmann::json& value) {
    nlohmann::json answer = Listing();
    answer[nlohmann::json::json_pointer(pointer)] = value;
    return answer;
  };
  fails(nlohmann::json::array(), "object");
  fails(changed("/sha", "main"), "sha");
  fails(changed("/sha", "../../x"), "sha");
  fails(changed("/siblings", 3), "siblings");
  fails(changed("/siblings/0", "config.json"), "siblings[0]");
  fails(changed("/siblings/0/rfilename", 3), "rfilename");
  fails(changed("/siblings/0/size", -1), "size");
  fails(changed("/siblings/0/size", 1e300), "size");
  fails(changed("/siblings/0/blobId", "xyz"), "blobId");
  fails(changed("/siblings/1/lfs", true), "lfs");
  fails(changed("/siblings/1/lfs/sha256", kSha1), "sha256");
  fails(changed("/siblings/1/lfs/size", "many"), "size");
  // An odd licence is no reason to fail.
  EXPECT_EQ(ParseHubListing(changed("/cardData", 3).dump(), "u").value().licence, "");
  EXPECT_EQ(ParseHubListing(changed("/cardData/license", {"mit"}).dump(), "u").value().licence,
            "mit");
  const std::string good = Listing().dump();
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(ParseHubListing(good.substr(0, size), "u").ok());
  }
}

// Values of `git hash-object` and `sha256sum`.
TEST(Digest, OfAFile) {
  TemporaryDirectory directory;
  directory.Write("f", "hello\n");
  EXPECT_EQ(FileDigest(directory.Path("f"), DigestKind::kGitBlob).value(),
            "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(FileDigest(directory.Path("f"), DigestKind::kSha256).value(),
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  directory.Write("empty", "");
  EXPECT_EQ(FileDigest(directory.Path("empty"), DigestKind::kGitBlob).value(),
            "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_FALSE(FileDigest(directory.Path("none"), DigestKind::kSha256).ok());
}

}  // namespace
}  // namespace fastvlm
