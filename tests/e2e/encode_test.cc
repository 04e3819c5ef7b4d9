#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "fastvlm/fastvlm.h"
#include "program.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> Encode(const std::string& output, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"encode",  "--model", kTinyModel, "--resolution",
                                        "192x128", kImage,    "--output", output};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// Header text and values of a .npy file as our program writes it.
struct Npy {
  std::string header;
  std::vector<float> values;
};

Npy ReadNpy(const std::string& path) {
  const std::string bytes = ReadAll(path);
  Npy npy;
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const size_t length = static_cast<uint8_t>(bytes[8]) + 256u * static_cast<uint8_t>(bytes[9]);
  EXPECT_EQ((10 + length) % 64, 0u);
  npy.header = bytes.substr(10, length);
  npy.values.resize((bytes.size() - 10 - length) / sizeof(float));
  std::memcpy(npy.values.data(), bytes.data() + 10 + length, npy.values.size() * sizeof(float));
  return npy;
}

TEST(Encode, WritesWhatTheLibraryComputes) {
  const ScratchDirectory scratch;
  const auto model = Model::Load(kTinyModel).value();
  const Image image = Image::FromFile(kImage).value();
  EncodeOptions options;
  options.width = 192;
  options.height = 128;

  ASSERT_EQ(Fastvlm(Encode(scratch / "tokens.npy")).exit_code, 0);
  const Npy tokens = ReadNpy(scratch / "tokens.npy");
  const Matrix expected = model->EncodeVisualTokens(image, options).value();
  EXPECT_THAT(tokens.header, HasSubstr("'descr': '<f4', 'fortran_order': False, 'shape': (6, " +
                                       std::to_string(expected.columns) + ")"));
  EXPECT_EQ(tokens.values, expected.values);

  ASSERT_EQ(Fastvlm(Encode(scratch / "features.npy", {"--features"})).exit_code, 0);
  EXPECT_EQ(ReadNpy(scratch / "features.npy").values,
            model->EncodeFeatures(image, options).value().values);
}

TEST(Encode, ABackgroundShowsThroughATransparentPicture) {
  const ScratchDirectory scratch;
  const std::string picture = kGoldenData + "../image/decode/rgba8.png";
  const auto model = Model::Load(kTinyModel).value();
  const EncodeOptions options{64, 64};
  ImageOptions over_white;
  over_white.background = Color{255, 255, 255};
  const std::vector<std::string> command = {"encode",   "--model",        kTinyModel,
                                            picture,    "--resolution",   "64",
                                            "--output", scratch / "a.npy"};
  ASSERT_EQ(Fastvlm(command).exit_code, 0);
  const Image hidden = Image::FromFile(picture).value();
  EXPECT_EQ(ReadNpy(scratch / "a.npy").values, model->EncodeVisualTokens(hidden, options)->values);

  std::vector<std::string> white = command;
  white.insert(white.end(), {"--background", "white"});
  ASSERT_EQ(Fastvlm(white).exit_code, 0);
  const Image shown = Image::FromFile(picture, over_white).value();
  EXPECT_NE(shown.pixels, hidden.pixels);
  EXPECT_EQ(ReadNpy(scratch / "a.npy").values, model->EncodeVisualTokens(shown, options)->values);
}

TEST(Encode, ThreadsDoNotChangeABit) {
  const ScratchDirectory scratch;
  ASSERT_EQ(Fastvlm(Encode(scratch / "1.npy", {"--threads", "1"})).exit_code, 0);
  for (const std::string threads : {"2", "3", "7"}) {
    ASSERT_EQ(Fastvlm(Encode(scratch / threads, {"--threads", threads})).exit_code, 0);
    EXPECT_EQ(ReadAll(scratch / threads), ReadAll(scratch / "1.npy")) << threads;
  }
}

TEST(Encode, InstructionSetsAgreeToRounding) {
  const ScratchDirectory scratch;
  ASSERT_EQ(Fastvlm(Encode(scratch / "scalar"), "", {"FASTVLM_ISA=scalar"}).exit_code, 0);
  ASSERT_EQ(Fastvlm(Encode(scratch / "best")).exit_code, 0);
  const Npy scalar = ReadNpy(scratch / "scalar");
  const Npy best = ReadNpy(scratch / "best");
  ASSERT_EQ(scalar.values.size(), best.values.size());
  float scale = 0;
  float worst = 0;
  for (size_t i = 0; i < scalar.values.size(); ++i) {
    scale = std::max(scale, std::abs(scalar.values[i]));
    worst = std::max(worst, std::abs(scalar.values[i] - best.values[i]));
  }
  EXPECT_LE(worst, 1e-4f * scale);
}

TEST(Encode, OutputThatCannotBeWritten) {
  const ScratchDirectory scratch;
  const ProgramResult missing = Fastvlm(Encode(scratch / "no/such/directory.npy"));
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("no/such/directory.npy"));
  if (std::filesystem::exists("/dev/full")) {
    const ProgramResult full = Fastvlm(Encode("/dev/full"));
    EXPECT_EQ(full.exit_code, 1);
    EXPECT_THAT(full.err, HasSubstr("/dev/full"));
  }
}

}  // namespace
}  // namespace fastvlm
