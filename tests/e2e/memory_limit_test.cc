// The program where the system refuses memory: it says what it wanted and ends in order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "program.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kPlenty = 4096;  // MiB

// fastvlm with at most so much address space. Memory is mapped without being reserved, so that a
// limit on what is mapped is the only one that is met in order.
ProgramResult FastvlmWithin(int64_t mib, const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {"/bin/sh", "-c", "ulimit -v \"$0\" && exec \"$@\"",
                                      std::to_string(mib * 1024), FASTVLM_PROGRAM};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return RunProgram(command);
}

// The least of `limits`, which rise, within which the program can describe a small picture.
int64_t LeastThatWorks() {
  for (int64_t mib = 32; mib < kPlenty; mib += mib / 8) {
    const ProgramResult result =
        FastvlmWithin(mib, {"describe", "--model", kTinyModel, "--threads", "1", kImage});
    if (result.exit_code == 0) return mib;
  }
  return kPlenty;
}

std::string Bytes(uint64_t value, int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

// A BMP file of so many black pixels, in a few bytes: run lengths that end at once.
std::string LargeBmp(int width, int height) {
  const std::string palette(8, '\0');
  const std::string end_of_picture("\0\1", 2);
  const uint64_t offset = 14 + 40 + palette.size();
  return "BM" + Bytes(offset + end_of_picture.size(), 4) + Bytes(0, 4) + Bytes(offset, 4) +
         Bytes(40, 4) + Bytes(static_cast<uint64_t>(width), 4) +
         Bytes(static_cast<uint64_t>(height), 4) + Bytes(1, 2) + Bytes(8, 2) +
         Bytes(1, 4) +  // RLE8
         Bytes(end_of_picture.size(), 4) + Bytes(0, 8) + Bytes(2, 4) + Bytes(0, 4) + palette +
         end_of_picture;
}

TEST(MemoryLimit, AResolutionThatIsTooLarge) {
  const std::vector<std::string> arguments = {"encode", "--model",      kTinyModel, "--threads",
                                              "1",      "--resolution", "4096",     kImage,
                                              "-o",     "/dev/null"};
  const ProgramResult result = FastvlmWithin(LeastThatWorks() + 64, arguments);
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr("out of memory: "), HasSubstr(" MiB could not be"),
                                HasSubstr("lower the resolution")));
}

TEST(MemoryLimit, AnImageThatIsTooLarge) {
  const ScratchDirectory scratch;
  const std::string path = scratch.Write("large.bmp", LargeBmp(20000, 8000));
  const std::vector<std::string> arguments = {"describe",  "--model", kTinyModel,
                                              "--threads", "1",       path};
  const ProgramResult result = FastvlmWithin(LeastThatWorks() + 64, arguments);
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr(path + ": out of memory: 458 MiB could not be"),
                                HasSubstr("scale the image down first")));
}

TEST(MemoryLimit, AContextThatIsTooLarge) {
  const ScratchDirectory scratch;
  for (const auto& file : std::filesystem::directory_iterator(kTinyModel)) {
    std::filesystem::copy(file.path(), scratch / file.path().filename().string());
  }
  std::string config = ReadAll(kTinyModel + "/config.json");
  const std::string field = "\"tokenizer_model_max_length\": ";
  const size_t at = config.find(field);
  ASSERT_NE(at, std::string::npos);
  config.replace(at, config.find_first_of(",}\n", at) - at, field + "1048576");
  const std::string positions = "\"max_position_embeddings\": ";
  const size_t place = config.find(positions);
  ASSERT_NE(place, std::string::npos);
  config.replace(place, config.find_first_of(",}\n", place) - place, positions + "1048576");
  scratch.Write("config.json", config);
  const std::vector<std::string> arguments = {
      "describe", "--model", scratch / "", "--kv-cache", "f32", "--threads", "1", "--prompt", "Hi"};
  const ProgramResult result = FastvlmWithin(LeastThatWorks() + 96, arguments);
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr("out of memory: "), HasSubstr("try --kv-cache q8")));
}

}  // namespace
}  // namespace fastvlm
