#include "checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/safetensors_writer.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Result<std::vector<StoredTensor>> Parse(const std::string& file) {
  return ParseSafetensors({reinterpret_cast<const uint8_t*>(file.data()), file.size()}, "a.file");
}

// The message for a file of this header and `data_bytes` zeros.
std::string ErrorOf(const std::string& header, size_t data_bytes) {
  const auto result = Parse(SafetensorsPrefix(header) + std::string(data_bytes, '\0'));
  if (result.ok()) return "no error";
  EXPECT_EQ(result.status().code(), StatusCode::kDataError);
  EXPECT_THAT(result.status().message(), HasSubstr("a.file: "));
  return result.status().message();
}

TEST(SafetensorsTest, ReadsEveryDtypeAtAnyAlignment) {
  const std::vector<float> values = {1.5f, -2.0f, 0.25f};
  // A tensor of one byte first, so that the others are not aligned.
  const std::string file = EncodeSafetensors({{"a", {"U8", {1}, {}}},
                                              {"b", {"F32", {3}, values}},
                                              {"c", {"F16", {1, 3}, values}},
                                              {"d", {"BF16", {3, 1}, values}},
                                              {"e", {"I64", {}, {}}}});
  const auto tensors = Parse(file);
  ASSERT_TRUE(tensors.ok()) << tensors.status().message();
  ASSERT_EQ(tensors->size(), 5u);
  EXPECT_FALSE((*tensors)[0].readable);
  EXPECT_EQ((*tensors)[0].dtype, "U8");
  const std::vector<std::vector<int64_t>> shapes = {{1}, {3}, {1, 3}, {3, 1}, {}};
  const Dtype dtypes[] = {Dtype::kF32, Dtype::kF16, Dtype::kBf16};
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ((*tensors)[i].tensor.shape, shapes[i]);
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_EQ((*tensors)[i].tensor.dtype, dtypes[i - 1]);
    EXPECT_EQ((*tensors)[i].tensor.ToF32(), values);
    float last = 0;
    (*tensors)[i].tensor.CopyToF32(2, 1, &last);
    EXPECT_EQ(last, values[2]);
  }
  EXPECT_EQ((*tensors)[4].tensor.dtype, Dtype::kI64);
  EXPECT_EQ((*tensors)[4].tensor.elements(), 1);
}

TEST(SafetensorsTest, AcceptsAHeaderWithoutTensorsAndWithPadding) {
  EXPECT_TRUE(Parse(SafetensorsPrefix("{}     ")).value().empty());
}

TEST(SafetensorsTest, FilesThatAreSomethingElse) {
  EXPECT_THAT(Parse("").status().message(), HasSubstr("has 0 bytes"));
  EXPECT_THAT(Parse("1234567").status().message(), HasSubstr("has 7 bytes"));
  EXPECT_THAT(Parse("version https://git-lfs.github.com/spec/v1\n").status().message(),
              HasSubstr("git lfs pull"));
  EXPECT_THAT(Parse(std::string("GGUF\3\0\0\0\0\0\0\0", 12)).status().message(),
              HasSubstr("GGUF file"));
  EXPECT_THAT(Parse("<!DOCTYPE html><html></html>").status().message(),
              HasSubstr("not a safetensors file"));
}

TEST(SafetensorsTest, HeaderLongerThanTheFile) {
  const std::string file = SafetensorsPrefix("{}");
  EXPECT_THAT(Parse(file.substr(0, 9)).status().message(),
              AllOf(HasSubstr("needs 10 bytes"), HasSubstr("has 9"), HasSubstr("truncated")));
  EXPECT_THAT(Parse(std::string(8, '\xff') + "{}").status().message(),
              HasSubstr("18446744073709551615"));
}

TEST(SafetensorsTest, TruncatedDataNameTheTensorAndBothSizes) {
  const std::string header = R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const size_t full = 8 + header.size() + 8;
  EXPECT_EQ(ErrorOf(header, 8), "no error");
  EXPECT_THAT(ErrorOf(header, 7), AllOf(HasSubstr(fmt::format("tensor x needs up to {}", full)),
                                        HasSubstr(fmt::format("has {} bytes", full - 1)),
                                        HasSubstr("truncated, download it again")));
  EXPECT_THAT(ErrorOf(header, 9), HasSubstr(fmt::format("tensors end at {}", full)));
}

TEST(SafetensorsTest, OverlappingAndMissingData) {
  const std::string a = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)";
  EXPECT_THAT(
      ErrorOf(a + R"("b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})", 7),
      AllOf(HasSubstr("tensor b"), HasSubstr("offset 3, expected 4"), HasSubstr("overlap")));
  EXPECT_THAT(ErrorOf(a + R"("b":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}})", 9),
              AllOf(HasSubstr("tensor b"), HasSubstr("offset 5, expected 4"), HasSubstr("gap")));
}

TEST(SafetensorsTest, OffsetsAndShapesThatDisagree) {
  EXPECT_THAT(ErrorOf(R"({"x":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,10]}})", 10),
              AllOf(HasSubstr("BF16 [2, 3] needs 12 bytes"), HasSubstr("[0, 10] hold 10")));
  EXPECT_THAT(ErrorOf(R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[2,0]}})", 2),
              HasSubstr("[2, 0] are not a range"));
  EXPECT_THAT(
      ErrorOf(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551615]}})", 2),
      HasSubstr("not a range"));
}

TEST(SafetensorsTest, ShapesWhoseProductOverflows) {
  const std::string end = R"(],"data_offsets":[0,0]}})";
  for (const char* shape :
       {"4294967296,4294967296", "9223372036854775807,2", "18446744073709551615,1"}) {
    EXPECT_THAT(ErrorOf(fmt::format(R"({{"x":{{"dtype":"F32","shape":[{}{})", shape, end), 0),
                HasSubstr("larger than any file"));
  }
  EXPECT_THAT(
      ErrorOf(R"({"x":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4),
      HasSubstr("unexpected a number in tensor x"));
}

TEST(SafetensorsTest, DuplicateNames) {
  EXPECT_THAT(ErrorOf(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                      R"("x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                      2),
              HasSubstr("tensor x is listed twice"));
}

TEST(SafetensorsTest, BrokenHeaders) {
  const char* headers[] = {
      "",
      "{",
      "[]",
      "null",
      "{}{}",
      R"({"x":1})",
      R"({"x":null})",
      R"({"x":[]})",
      R"({"x":{}})",
      R"({"x":{"dtype":"U8","shape":[1]}})",
      R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0]}})",
      R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}})",
      R"({"x":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})",
      R"({"x":{"dtype":["U8"],"shape":[1],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","shape":{"a":1},"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}})",
      R"({"__metadata__":{"a":1}})",
      R"({"__metadata__":{"a":{}}})",
      R"({"__metadata__":{"a":["b"]}})",
      "{\"\xff\":1}",
  };
  for (const char* header : headers) {
    EXPECT_THAT(ErrorOf(header, 1), HasSubstr("bad safetensors header: ")) << header;
  }
}

TEST(SafetensorsTest, DeepNestingIsRefusedAtOnce) {
  EXPECT_THAT(ErrorOf(std::string(1'000'000, '['), 0), HasSubstr("unexpected a list"));
  EXPECT_THAT(ErrorOf(fmt::format(R"({{"x":{{"shape":{})", std::string(1'000'000, '[')), 0),
              HasSubstr("unexpected a list in tensor x"));
}

TEST(SafetensorsTest, LongAndUnprintableNamesAreCutInMessages) {
  const std::string message =
      ErrorOf(fmt::format("{{\"\\u0007{}\":1}}", std::string(100'000, 'n')), 0);
  EXPECT_LT(message.size(), 500u);
  EXPECT_EQ(message.find('\a'), std::string::npos);
}

}  // namespace
}  // namespace fastvlm
