#include "checkpoint/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_writer.h"
#include "support/random.h"
#include "support/temporary_directory.h"

namespace fastvlm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kMetadataFile = FASTVLM_SOURCE_DIR "/tests/golden/gguf/metadata.gguf";

std::vector<uint8_t> ReadGolden() {
  auto bytes = ReadBinaryFile(kMetadataFile, size_t{1} << 20);
  EXPECT_TRUE(bytes.ok());
  return std::move(bytes).value();
}

std::string ErrorOf(const std::vector<uint8_t>& bytes) {
  const auto gguf = ParseGguf(bytes, "x.gguf");
  return gguf.ok() ? "" : gguf.status().message();
}

// Builds files that the writer would refuse to.
class Raw {
 public:
  Raw& Bytes(std::string_view text) {
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    return *this;
  }
  template <typename T>
  Raw& Number(T value) {
    const auto* begin = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), begin, begin + sizeof(T));
    return *this;
  }
  Raw& String(std::string_view text) { return Number(uint64_t{text.size()}).Bytes(text); }
  Raw& Header(uint64_t tensors, uint64_t values, uint32_t version = 3) {
    return Bytes("GGUF").Number(version).Number(tensors).Number(values);
  }
  Raw& TensorInfo(std::string_view name, std::vector<uint64_t> sizes, uint32_t type,
                  uint64_t offset) {
    String(name).Number(static_cast<uint32_t>(sizes.size()));
    for (const uint64_t size : sizes) Number(size);
    return Number(type).Number(offset);
  }
  Raw& Pad(size_t data) {
    bytes_.resize((bytes_.size() + 31) / 32 * 32 + data);
    return *this;
  }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

TEST(Gguf, ReadsEveryTypeTheReferenceWrites) {
  const std::vector<uint8_t> bytes = ReadGolden();
  const auto gguf = ParseGguf(bytes, kMetadataFile);
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  EXPECT_EQ(gguf->version, 3u);
  EXPECT_EQ(gguf->Integer("u8", 0, 255).value(), 200);
  EXPECT_EQ(gguf->Integer("i8", -128, 127).value(), -100);
  EXPECT_EQ(gguf->Integer("u16", 0, 65535).value(), 60000);
  EXPECT_EQ(gguf->Integer("i16", -32768, 0).value(), -30000);
  EXPECT_EQ(gguf->Integer("u32", 0, INT64_MAX).value(), 4000000000);
  EXPECT_EQ(gguf->Integer("i32", INT64_MIN, 0).value(), -2000000000);
  EXPECT_EQ(std::get<uint64_t>(*gguf->Find("u64")), uint64_t{1} << 63);
  EXPECT_EQ(gguf->Integer("i64", INT64_MIN, 0).value(), -(int64_t{1} << 62));
  EXPECT_EQ(gguf->PositiveOr("f32", 0).value(), double{0.1f});
  EXPECT_EQ(gguf->PositiveOr("f64", 0).value(), 0.1);
  EXPECT_EQ(gguf->BoolOr("yes", false).value(), true);
  EXPECT_EQ(gguf->String("text").value(), "na\u00efve");
  EXPECT_THAT(gguf->Array("strings").value()->strings, ElementsAre("a", "", "\u6c34"));
  EXPECT_THAT(gguf->Numbers("integers").value(), ElementsAre(1, -2, 3));
  EXPECT_THAT(gguf->Numbers("floats").value(), ElementsAre(0.5, -0.25));

  ASSERT_EQ(gguf->tensors.size(), 3u);
  EXPECT_EQ(gguf->tensors[0].tensor.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_THAT(gguf->tensors[0].tensor.ToF32(), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(gguf->tensors[1].tensor.ToF32(), ElementsAre(1.5f, -2.0f));
  EXPECT_EQ(gguf->tensors[1].dtype, "F16");
  EXPECT_THAT(gguf->tensors[2].tensor.ToF32(), ElementsAre(3.0f, 0.10009765625f));
  for (const StoredTensor& stored : gguf->tensors) {
    EXPECT_EQ((stored.tensor.data - bytes.data()) % 64, 0);
  }
}

TEST(Gguf, SaysWhatAKeyShouldBe) {
  const std::vector<uint8_t> bytes = ReadGolden();
  const auto gguf = ParseGguf(bytes, "x.gguf");
  ASSERT_TRUE(gguf.ok());
  EXPECT_THAT(gguf->Integer("none", 1, 9).status().message(),
              HasSubstr("x.gguf: none: expected an integer from 1 to 9, found nothing"));
  EXPECT_THAT(gguf->Integer("u8", 1, 9).status().message(), HasSubstr("found 200"));
  EXPECT_THAT(gguf->Integer("u64", 0, INT64_MAX).status().message(), HasSubstr("found 9223372036"));
  EXPECT_FALSE(gguf->String("u8").ok());
  EXPECT_FALSE(gguf->BoolOr("text", true).ok());
  EXPECT_FALSE(gguf->PositiveOr("i8", 1).ok());
  EXPECT_FALSE(gguf->Numbers("strings").ok());
  EXPECT_FALSE(gguf->Array("text").ok());
  EXPECT_EQ(gguf->IntegerOr("none", 0, 9, 7).value(), 7);
}

TEST(Gguf, EveryTruncationIsAnError) {
  const std::vector<uint8_t> bytes = ReadGolden();
  // The last tensor's 4 bytes are followed by padding.
  for (size_t size = 0; size + 64 < bytes.size(); ++size) {
    const std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_NE(ErrorOf(cut), "") << size;
  }
}

// What survives a change of one bit must have its data inside of the file.
TEST(Gguf, NoFlippedBitLeadsOutOfTheFile) {
  const std::vector<uint8_t> golden = ReadGolden();
  for (size_t bit = 0; bit < golden.size() * 8; ++bit) {
    std::vector<uint8_t> bytes = golden;
    bytes[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
    const auto gguf = ParseGguf(bytes, "x.gguf");
    if (!gguf.ok()) continue;
    for (const StoredTensor& stored : gguf->tensors) {
      if (!stored.readable || stored.tensor.dtype == Dtype::kI64) continue;
      ASSERT_GE(stored.tensor.data, bytes.data());
      ASSERT_LE(stored.tensor.data + stored.tensor.bytes(), bytes.data() + bytes.size());
      EXPECT_EQ(stored.tensor.ToF32().size(), static_cast<size_t>(stored.tensor.elements()));
    }
  }
}

TEST(Gguf, RefusesWhatCannotBe) {
  EXPECT_THAT(ErrorOf({}), HasSubstr("not a GGUF file"));
  EXPECT_THAT(ErrorOf(Raw().Header(0, 0, 1).bytes()), HasSubstr("version 1"));
  EXPECT_THAT(ErrorOf(Raw().Header(0, 0, 0x03000000).bytes()), HasSubstr("big-endian"));
  EXPECT_THAT(ErrorOf(Raw().Header(UINT64_MAX, 0).bytes()), HasSubstr("goes beyond the end"));
  EXPECT_THAT(ErrorOf(Raw().Header(0, UINT64_MAX).bytes()), HasSubstr("goes beyond the end"));
  EXPECT_THAT(ErrorOf(Raw().Header(0, 1).Number(UINT64_MAX).Bytes("0123456789").bytes()),
              HasSubstr("goes beyond the end"));
  EXPECT_THAT(ErrorOf(Raw().Header(0, 1).String("k").Number(uint32_t{13}).bytes()),
              HasSubstr("unknown type 13"));
  EXPECT_THAT(ErrorOf(Raw()
                          .Header(0, 2)
                          .String("k")
                          .Number(uint32_t{7})
                          .Bytes("\1")
                          .String("k")
                          .Number(uint32_t{7})
                          .Bytes("\1")
                          .bytes()),
              HasSubstr("k is there twice"));
  // An array that says to be longer than memory, of numbers and of strings.
  for (const uint32_t type : {4u, 8u, 9u}) {
    EXPECT_THAT(ErrorOf(Raw()
                            .Header(0, 1)
                            .String("k")
                            .Number(uint32_t{9})
                            .Number(type)
                            .Number(UINT64_MAX / 2)
                            .Number(uint64_t{0})
                            .bytes()),
                HasSubstr("goes beyond the end"));
  }
  Raw deep;
  deep.Header(0, 1).String("k").Number(uint32_t{9});
  for (int i = 0; i < 50; ++i) deep.Number(uint32_t{9}).Number(uint64_t{1});
  EXPECT_THAT(ErrorOf(deep.bytes()), HasSubstr("nested"));
  EXPECT_THAT(ErrorOf(Raw()
                          .Header(0, 1)
                          .String("general.alignment")
                          .Number(uint32_t{4})
                          .Number(uint32_t{33})
                          .bytes()),
              HasSubstr("a power of two"));
}

TEST(Gguf, RefusesTensorsThatCannotBe) {
  const auto one = [](std::vector<uint64_t> sizes, uint32_t type, uint64_t offset) {
    return ErrorOf(
        Raw().Header(1, 0).TensorInfo("t", std::move(sizes), type, offset).Pad(64).bytes());
  };
  EXPECT_EQ(one({4, 4}, 0, 0), "");
  EXPECT_EQ(one({32}, 8, 0), "");
  EXPECT_THAT(one({17}, 0, 0), HasSubstr("go beyond the 64 of all data"));
  EXPECT_THAT(one({4}, 0, 96), HasSubstr("go beyond"));
  EXPECT_THAT(one({4}, 0, UINT64_MAX - 31), HasSubstr("go beyond"));
  EXPECT_THAT(one({4}, 0, 4), HasSubstr("a multiple of 32"));
  EXPECT_THAT(one({16, 2}, 8, 0), HasSubstr("a multiple of 32 long, found shape [2, 16]"));
  EXPECT_THAT(one({0}, 0, 0), HasSubstr("impossible size 0"));
  EXPECT_THAT(one({uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0), HasSubstr("impossible size"));
  EXPECT_THAT(one({UINT64_MAX}, 0, 0), HasSubstr("impossible size"));
  EXPECT_THAT(one({1, 1, 1, 1, 1}, 0, 0), HasSubstr("5 dimensions"));
  const auto two = [](std::string_view second, uint64_t offset) {
    return ErrorOf(Raw()
                       .Header(2, 0)
                       .TensorInfo("t", {12}, 0, 0)
                       .TensorInfo(second, {4}, 0, offset)
                       .Pad(80)
                       .bytes());
  };
  EXPECT_EQ(two("u", 64), "");
  EXPECT_THAT(two("u", 32), HasSubstr("overlaps"));
  EXPECT_THAT(two("t", 64), HasSubstr("t is there twice"));
}

TEST(Gguf, TypesWithoutAReaderAreKeptButNotReadable) {
  const std::vector<uint8_t> bytes =
      Raw().Header(1, 0).TensorInfo("t", {256}, 10, 0).Pad(96).bytes();
  const auto gguf = ParseGguf(bytes, "x.gguf");
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  EXPECT_FALSE(gguf->tensors[0].readable);
  EXPECT_EQ(gguf->tensors[0].dtype, "Q2_K");
}

TEST(GgufWriter, WhatIsWrittenIsRead) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/x.gguf";
  GgufWriter writer;
  writer.SetString("text", "t\xc3\xa9xt");
  writer.SetUint32("u32", 7);
  writer.SetFloat32("f32", 0.5f);
  writer.SetBool("flag", true);
  writer.SetStrings("strings", std::vector<std::string>{"a", ""});
  writer.SetInt32s("i32s", std::vector<int32_t>{-1, 2});
  writer.SetUint32s("u32s", std::vector<uint32_t>{3});
  writer.SetFloat32s("f32s", std::vector<float>{0.25f});
  writer.AddTensor("a", Dtype::kF32, {3});
  writer.AddTensor("b", Dtype::kQ80, {2, 32});
  {
    auto file = FileReplacement::Create(path, writer.file_bytes());
    ASSERT_TRUE(file.ok()) << file.status().message();
    ASSERT_TRUE(writer.Start(&*file).ok());
    const std::vector<float> a = {1, 2, 3};
    ASSERT_TRUE(writer.WriteData({reinterpret_cast<const uint8_t*>(a.data()), 12}).ok());
    std::vector<uint8_t> b(68);
    for (size_t i = 0; i < b.size(); ++i)
      b[i] = static_cast<uint8_t>(i % 34 < 2 ? 0x3c * (i % 2) : i);
    ASSERT_TRUE(writer.WriteData(std::span(b).first(40)).ok());
    EXPECT_FALSE(writer.complete());
    ASSERT_TRUE(writer.WriteData(std::span(b).subspan(40)).ok());
    EXPECT_TRUE(writer.complete());
    EXPECT_FALSE(FileExists(path));
    ASSERT_TRUE(file->Commit().ok());
  }
  const auto bytes = ReadBinaryFile(path, 1 << 20);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(static_cast<int64_t>(bytes->size()), writer.file_bytes());
  const auto gguf = ParseGguf(*bytes, path);
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  EXPECT_EQ(gguf->String("text").value(), "t\xc3\xa9xt");
  EXPECT_EQ(gguf->Integer("u32", 0, 9).value(), 7);
  EXPECT_EQ(gguf->PositiveOr("f32", 0).value(), 0.5);
  EXPECT_TRUE(gguf->BoolOr("flag", false).value());
  EXPECT_THAT(gguf->Array("strings").value()->strings, ElementsAre("a", ""));
  EXPECT_THAT(gguf->Numbers("i32s").value(), ElementsAre(-1, 2));
  EXPECT_THAT(gguf->Numbers("u32s").value(), ElementsAre(3));
  EXPECT_THAT(gguf->Numbers("f32s").value(), ElementsAre(0.25));
  EXPECT_THAT(gguf->tensors[0].tensor.ToF32(), ElementsAre(1, 2, 3));
  EXPECT_EQ(gguf->tensors[1].tensor.shape, (std::vector<int64_t>{2, 32}));
  EXPECT_EQ(gguf->tensors[1].tensor.ToF32()[5], 7.0f);  // scale 1
}

// As llama.cpp splits large files: the second part has these keys alone.
TEST(GgufModel, APartOfASplitOneSaysHowToJoinThem) {
  const TemporaryDirectory directory;
  const std::string path = directory.Path("m-00002-of-00003.gguf");
  GgufWriter writer;
  writer.SetUint32("split.no", 1);
  writer.SetUint32("split.count", 3);
  writer.AddTensor("blk.9.attn_q.weight", Dtype::kF32, {1});
  auto file = FileReplacement::Create(path, writer.file_bytes());
  ASSERT_TRUE(file.ok() && writer.Start(&*file).ok());
  const float value = 1;
  ASSERT_TRUE(writer.WriteData({reinterpret_cast<const uint8_t*>(&value), 4}).ok());
  ASSERT_TRUE(file->Commit().ok());
  const auto checkpoint = Checkpoint::Open(path);
  ASSERT_EQ(checkpoint.status().code(), StatusCode::kUnsupported);
  EXPECT_THAT(checkpoint.status().message(), HasSubstr("one of 3 parts"));
  EXPECT_THAT(checkpoint.status().message(), HasSubstr("llama-gguf-split --merge"));
}

TEST(FileReplacement, LeavesNothingUnlessItIsCommitted) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/x";
  directory.Write("x", "old");
  directory.Write("x.part", "left behind by a killed program, and longer");
  {
    auto file = FileReplacement::Create(path, 3);
    ASSERT_TRUE(file.ok());
    const auto other = FileReplacement::Create(path, 3);
    EXPECT_THAT(other.status().message(), HasSubstr("another program"));
    const uint8_t bytes[] = {'n', 'e', 'w'};
    ASSERT_TRUE(file->Write(bytes).ok());
  }
  EXPECT_EQ(ReadTextFile(path, 99).value(), "old");
  EXPECT_FALSE(FileExists(path + ".part"));
  auto file = FileReplacement::Create(path, 3);
  ASSERT_TRUE(file.ok());
  const uint8_t bytes[] = {'n', 'e', 'w'};
  ASSERT_TRUE(file->Write(bytes).ok());
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(ReadTextFile(path, 99).value(), "new");
  EXPECT_FALSE(FileExists(path + ".part"));
}

}  // namespace
}  // namespace fastvlm
