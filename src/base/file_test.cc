#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = ::testing::TempDir() + "fastvlm_file_test_" + std::to_string(getpid());
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  std::string directory_;
};

Status WriteText(const std::string& path, const std::string& text) {
  const std::span<const uint8_t> part(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  return WriteFileAtomically(path, {{part}});
}

TEST_F(FileTest, WritesAndReadsBack) {
  ASSERT_TRUE(WriteText(Path("a"), "hello").ok());
  EXPECT_EQ(ReadTextFile(Path("a"), 5).value(), "hello");
  ASSERT_TRUE(WriteText(Path("a"), "").ok());
  EXPECT_EQ(ReadTextFile(Path("a"), 5).value(), "");
}

TEST_F(FileTest, WriteLeavesNoTemporaryFile) {
  ASSERT_TRUE(WriteText(Path("a"), "hello").ok());
  int files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory_))
    ++files;
  EXPECT_EQ(files, 1);
}

TEST_F(FileTest, FullDiskIsAnErrorThatNamesTheFile) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  const Status status = WriteText("/dev/full", "hello");
  EXPECT_EQ(status.code(), StatusCode::kIoError);
  EXPECT_THAT(status.message(), HasSubstr("/dev/full"));
}

TEST_F(FileTest, WriteIntoMissingDirectoryFails) {
  EXPECT_EQ(WriteText(Path("no/such/file"), "x").code(), StatusCode::kNotFound);
}

TEST_F(FileTest, ReadErrors) {
  EXPECT_EQ(ReadTextFile(Path("missing"), 10).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(ReadTextFile(directory_, 10).status().code(), StatusCode::kIoError);
  ASSERT_TRUE(WriteText(Path("big"), "0123456789").ok());
  const Status status = ReadTextFile(Path("big"), 9).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr(Path("big")));
}

TEST_F(FileTest, MapsAFile) {
  ASSERT_TRUE(WriteText(Path("a"), "mapped").ok());
  Result<MappedFile> file = MappedFile::Open(Path("a"));
  ASSERT_TRUE(file.ok());
  MappedFile moved = std::move(file).value();
  EXPECT_EQ(std::string(moved.bytes().begin(), moved.bytes().end()), "mapped");
}

TEST_F(FileTest, ReleasedPagesCanBeReadAgain) {
  const std::string text(20000, 'x');
  ASSERT_TRUE(WriteText(Path("a"), text).ok());
  const MappedFile file = MappedFile::Open(Path("a")).value();
  EXPECT_EQ(file.bytes()[9000], 'x');
  ReleaseMappedPages(file.bytes().data() + 1, file.bytes().size() - 1);
  EXPECT_EQ(std::string(file.bytes().begin(), file.bytes().end()), text);
}

TEST_F(FileTest, MapsAnEmptyFileAndRefusesADirectory) {
  ASSERT_TRUE(WriteText(Path("empty"), "").ok());
  EXPECT_TRUE(MappedFile::Open(Path("empty")).value().bytes().empty());
  EXPECT_EQ(MappedFile::Open(directory_).status().code(), StatusCode::kIoError);
}

// Nothing is waited for: nobody writes into the pipe.
TEST_F(FileTest, PipesDevicesAndDirectoriesAreNoFiles) {
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  for (const auto& [path, kind] : {std::pair(Path("pipe"), "is a pipe, expected a file"),
                                   std::pair(std::string("/dev/zero"), "is a device"),
                                   std::pair(directory_, "is a directory")}) {
    for (const Status& status :
         {ReadTextFile(path, 1 << 20).status(), ReadBinaryFile(path, 1 << 20).status(),
          MappedFile::Open(path).status()}) {
      EXPECT_EQ(status.code(), StatusCode::kIoError) << path;
      EXPECT_THAT(status.message(), HasSubstr(path + ": " + kind));
    }
    EXPECT_TRUE(PathExists(path));
    EXPECT_FALSE(FileExists(path));
  }
  EXPECT_FALSE(PathExists(Path("none")));
  // What a user names as input may be endless: the limit ends it.
  EXPECT_EQ(ReadTextFile("/dev/zero", 1 << 20, FileKind::kAny).status().code(),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadTextFile("/dev/null", 10, FileKind::kAny).value(), "");
  EXPECT_EQ(ReadTextFile(directory_, 10, FileKind::kAny).status().code(), StatusCode::kIoError);
}

TEST_F(FileTest, FinishesAReplacementThatNobodyIsWriting) {
  ASSERT_TRUE(WriteText(Path("a"), "old").ok());
  {
    auto writing = FileReplacement::Create(Path("a"), 0);
    ASSERT_TRUE(writing.ok());
    EXPECT_TRUE(FinishReplacement(Path("a")).ok());  // it is at work, and is left alone
    EXPECT_EQ(ReadTextFile(Path("a"), 10).value(), "old");
  }
  ASSERT_TRUE(WriteText(Path("a.part"), "new").ok());
  EXPECT_TRUE(FinishReplacement(Path("a")).ok());
  EXPECT_EQ(ReadTextFile(Path("a"), 10).value(), "new");
  EXPECT_EQ(FinishReplacement(Path("a")).code(), StatusCode::kNotFound);
}

TEST_F(FileTest, ListsEveryNameOnce) {
  ASSERT_TRUE(WriteText(Path("b.txt"), "b").ok());
  ASSERT_TRUE(WriteText(Path(".hidden"), "h").ok());
  std::filesystem::create_directory(Path("folder"));
  EXPECT_THAT(ListDirectory(directory_).value(),
              ::testing::UnorderedElementsAre(".hidden", "b.txt", "folder"));
  EXPECT_EQ(ListDirectory(Path("none")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(ListDirectory(Path("b.txt")).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace fastvlm
