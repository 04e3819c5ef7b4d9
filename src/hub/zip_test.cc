#include "hub/zip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "support/random.h"
#include "support/temporary_directory.h"
#include "support/zip_writer.h"

namespace fastvlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<std::pair<std::string, std::string>> kFiles = {
    {"model/README.md", "read me"},
    {"model/config.json", "{}"},
    {"__MACOSX/model/._config.json", "shadow"},
    {"model/model.safetensors", std::string(300'000, 'w')},
    {"model/onnx/config.json", "{}"}};

Result<ZipReader> Reader(const std::string& bytes) {
  return ZipReader::FromMemory({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()},
                               "a.zip");
}

Result<std::string> Contents(const ZipReader& zip, const ZipEntry& entry) {
  std::string text;
  const Status status = zip.Read(entry, [&](std::span<const uint8_t> bytes) {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return Status();
  });
  if (!status.ok()) return status;
  return text;
}

// Whatever the bytes are, reading all there is ends in order.
StatusCode TryAll(const std::string& bytes) {
  const auto zip = Reader(bytes);
  if (!zip.ok()) return zip.status().code();
  const auto model = zip->FindModel();
  if (!model.ok()) return model.status().code();
  for (const ZipEntry& entry : model->files) {
    const auto contents = Contents(*zip, entry);
    if (!contents.ok()) return contents.status().code();
  }
  return StatusCode::kOk;
}

TEST(Zip, FindsAndUnpacksTheModel) {
  for (bool deflate : {false, true}) {
    const std::string bytes = MakeZip(kFiles, deflate);
    TemporaryDirectory directory;
    directory.Write("a.zip", bytes);
    const ZipReader zip = ZipReader::Open(directory.Path("a.zip")).value();
    EXPECT_EQ(zip.entries().size(), kFiles.size());
    const ZipModel model = zip.FindModel().value();
    EXPECT_EQ(model.folder, "model/");
    EXPECT_THAT(model.names, ElementsAre("config.json", "model.safetensors"));
    EXPECT_EQ(model.bytes, 300'002);
    EXPECT_EQ(Contents(zip, model.files[0]).value(), "{}");
    EXPECT_EQ(Contents(zip, model.files[1]).value(), kFiles[3].second);
  }
}

TEST(Zip, NamesThatLeadOut) {
  for (const char* name :
       {"../config.json", "a/../../b", "/etc/passwd", "a\\..\\b", "c:/x", "a/.."}) {
    const auto zip = Reader(MakeZip({{"config.json", "{}"}, {name, "x"}}));
    ASSERT_FALSE(zip.ok()) << name;
    EXPECT_EQ(zip.status().code(), StatusCode::kDataError);
    EXPECT_THAT(zip.status().message(), HasSubstr("leads out of its directory"));
  }
  EXPECT_TRUE(Reader(MakeZip({{"a..b/c...", "x"}})).ok());
}

TEST(Zip, Bombs) {
  const auto zip = Reader(
      MakeZip({{"config.json", "{}"}, {"model.safetensors", std::string(5 << 20, '\0')}}, true));
  ASSERT_FALSE(zip.ok());
  EXPECT_EQ(zip.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(zip.status().message(), HasSubstr("would unpack"));
}

TEST(Zip, NoModelOrTwo) {
  EXPECT_EQ(TryAll(MakeZip({{"README.md", "x"}})), StatusCode::kUnsupported);
  EXPECT_EQ(TryAll(MakeZip({{"a/config.json", "{}"},
                            {"a/model.safetensors", "x"},
                            {"b/config.json", "{}"},
                            {"b/model.safetensors", "x"}})),
            StatusCode::kUnsupported);
}

TEST(Zip, WrongChecksum) {
  std::string bytes = MakeZip(kFiles);
  bytes[bytes.find("wwww") + 1000] = 'v';
  EXPECT_EQ(TryAll(bytes), StatusCode::kDataError);
}

TEST(Zip, Truncated) {
  const std::string bytes = MakeZip(kFiles);
  for (size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 100) {
    EXPECT_NE(TryAll(bytes.substr(0, size)), StatusCode::kOk) << size;
  }
  for (size_t cut = 1; cut < 200; ++cut) {
    EXPECT_NE(TryAll(bytes.substr(0, bytes.size() - cut)), StatusCode::kOk) << cut;
  }
}

TEST(Zip, DamagedBytesNeverCrash) {
  std::mt19937_64 random(TestSeed());
  for (bool deflate : {false, true}) {
    const std::string good =
        MakeZip({{"m/config.json", "{}"}, {"m/model.safetensors", "weights"}}, deflate);
    for (int i = 0; i < 1000; ++i) {
      std::string bytes = good;
      for (int flips = 0; flips <= i % 4; ++flips) {
        bytes[random() % bytes.size()] = static_cast<char>(random());
      }
      TryAll(bytes);
    }
  }
}

}  // namespace
}  // namespace fastvlm
