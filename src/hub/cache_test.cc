#include "hub/cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "hub/file_ops.h"
#include "hub/pull.h"
#include "hub/source.h"
#include "support/temporary_directory.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class CacheTest : public ::testing::Test {
 protected:
  void AddModel(const std::string& name) {
    const std::string directory = cache_.ModelDirectory(name);
    ASSERT_TRUE(MakeDirectories(directory).ok());
    temporary_.Write("models/" + name + "/model.safetensors", "weights");
    Manifest manifest{
        "hf:" + name + "@main", std::string(40, 'a'), "mit", "2026-01-01T00:00:00Z", {}};
    manifest.files.push_back({"model.safetensors", 7, {DigestKind::kSha256, std::string(64, 'b')}});
    ASSERT_TRUE(WriteManifest(directory, manifest).ok());
  }
  TemporaryDirectory temporary_;
  ModelCache cache_{temporary_.path()};
};

TEST_F(CacheTest, Manifest) {
  AddModel("a/b");
  const auto manifest = ReadManifest(cache_.ModelDirectory("a/b"));
  ASSERT_TRUE(manifest.ok()) << manifest.status().message();
  EXPECT_EQ(manifest->source, "hf:a/b@main");
  EXPECT_EQ(manifest->revision, std::string(40, 'a'));
  EXPECT_EQ(manifest->licence, "mit");
  ASSERT_EQ(manifest->files.size(), 1u);
  EXPECT_EQ(manifest->files[0].digest.hex, std::string(64, 'b'));
  EXPECT_EQ(manifest->files[0].digest.kind, DigestKind::kSha256);
}

TEST_F(CacheTest, ListsAndFinds) {
  EXPECT_TRUE(cache_.List().empty());
  EXPECT_THAT(cache_.Find("x").status().message(), HasSubstr("none"));
  AddModel("apple/FastVLM-0.5B");
  AddModel("other/FastVLM-0.5b");
  AddModel("other/Thing");
  ASSERT_TRUE(MakeDirectories(cache_.ModelDirectory("stray/directory")).ok());
  ASSERT_TRUE(MakeDirectories(cache_.PartialDirectory("apple/FastVLM-7B")).ok());
  temporary_.Write("partial/apple/FastVLM-7B/x.part", "123");
  const auto models = cache_.List();
  ASSERT_EQ(models.size(), 4u);
  EXPECT_EQ(models[1].name, "apple/FastVLM-7B");
  EXPECT_FALSE(models[1].complete);
  EXPECT_EQ(models[1].bytes, 3);

  EXPECT_EQ(cache_.Find("other/Thing")->directory, cache_.ModelDirectory("other/Thing"));
  EXPECT_EQ(cache_.Find("thing")->name, "other/Thing");
  EXPECT_EQ(cache_.Find("FastVLM-0.5B")->name, "apple/FastVLM-0.5B");
  EXPECT_EQ(cache_.Find("FastVLM-0.5b")->name, "other/FastVLM-0.5b");
  EXPECT_THAT(cache_.Find("FASTVLM-0.5B").status().message(),
              AllOf(HasSubstr("more than one"), HasSubstr("apple/FastVLM-0.5B")));
  EXPECT_FALSE(cache_.Find("FastVLM-7B").ok()) << "it is not complete";
  EXPECT_FALSE(cache_.Find("directory").ok());
  EXPECT_FALSE(cache_.Find("../models/other/Thing").ok());
  EXPECT_FALSE(cache_.Find("").ok());
}

TEST_F(CacheTest, Removes) {
  AddModel("a/b");
  AddModel("a/c");
  ASSERT_TRUE(MakeDirectories(cache_.PartialDirectory("a/b")).ok());
  temporary_.Write("partial/a/b/x.part", "123");
  EXPECT_GE(cache_.Remove("a/b").value(), 10);
  EXPECT_FALSE(DirectoryExists(cache_.ModelDirectory("a/b")));
  EXPECT_FALSE(DirectoryExists(temporary_.Path("partial/a")));
  EXPECT_TRUE(cache_.Find("a/c").ok());
  EXPECT_EQ(cache_.Remove("a/b").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(cache_.Remove("../a/c").status().code(), StatusCode::kNotFound);
  const auto lock = FileLock::TryAcquire(cache_.LockPath("a/c"));
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(cache_.Remove("a/c").status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(cache_.Find("a/c").ok());
}

TEST_F(CacheTest, RecoversAModelThatWasMovedAside) {
  AddModel("a/b");
  AddModel("a/c@v1");
  AddModel("a/d");
  for (const char* name : {"old", "locks"}) {
    ASSERT_TRUE(MakeDirectories(temporary_.Path(name)).ok());
  }
  for (const char* name : {"a/b", "a/c@v1"}) {
    ASSERT_TRUE(RenamePath(cache_.ModelDirectory(name), cache_.OldDirectory(name)).ok());
  }
  ASSERT_TRUE(MakeDirectories(cache_.OldDirectory("a/d")).ok());  // replaced, but not yet removed
  temporary_.Write("old/a@d/weights", "old");
  EXPECT_EQ(cache_.List().size(), 1u);
  {
    const auto lock = FileLock::TryAcquire(cache_.LockPath("a/b"));  // a pull is at work on it
    ASSERT_TRUE(lock.ok());
    cache_.Recover();
    EXPECT_FALSE(cache_.Find("a/b").ok());
    EXPECT_TRUE(cache_.Find("a/c@v1").ok());
  }
  cache_.Recover();
  EXPECT_TRUE(cache_.Find("a/b").ok());
  EXPECT_EQ(cache_.List().size(), 3u);
  EXPECT_TRUE(ListDirectory(temporary_.Path("old")).value().empty());
}

TEST_F(CacheTest, DamagedManifestsAreNoModels) {
  for (const char* text :
       {"", "{", "[]", "{}", R"({"files": 3})", R"({"files": [3]})",
        R"({"files": [{"name": "x", "size": -1}]})", R"({"source": 3, "files": []})"}) {
    AddModel("a/b");
    temporary_.Write("models/a/b/.fastvlm.json", text);
    EXPECT_TRUE(cache_.List().empty()) << text;
  }
}

// It is neither taken for no model nor fetched over, but can be removed.
TEST_F(CacheTest, ANewerManifestIsAModelThatCannotBeRead) {
  AddModel("a/b");
  temporary_.Write("models/a/b/.fastvlm.json", R"({"version": 2, "files": "elsewhere"})");
  ASSERT_EQ(cache_.List().size(), 1u);
  EXPECT_EQ(cache_.List()[0].newer.code(), StatusCode::kUnsupported);
  const Status found = cache_.Find("b").status();
  EXPECT_EQ(found.code(), StatusCode::kUnsupported);
  EXPECT_THAT(found.message(), HasSubstr("a newer fastvlm fetched this model: its record has "
                                         "version 2, this program reads 1"));
  const auto pulled = PullModel(ParseModelSource("a/b").value(), cache_, {}, {});
  EXPECT_EQ(pulled.status().message(), found.message());
  EXPECT_TRUE(cache_.Remove("a/b").ok());
  EXPECT_TRUE(cache_.List().empty());
}

}  // namespace
}  // namespace fastvlm
