// Truncated, damaged and hostile files: an error or a picture, never a crash. Most telling under
// the asan preset.
#include <gmock/gmock.h>

#include <algorithm>

#include "image/image.h"
#include "image/test_files.h"
#include "support/random.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

void AppendBigEndian(uint32_t value, std::vector<uint8_t>* bytes) {
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes->push_back(static_cast<uint8_t>(value >> shift));
}

// A PNG that ends after its header.
std::vector<uint8_t> PngHeader(uint32_t width, uint32_t height) {
  std::vector<uint8_t> bytes = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n',
                                0,    0,   0,   13,  'I',  'H',  'D',  'R'};
  AppendBigEndian(width, &bytes);
  AppendBigEndian(height, &bytes);
  bytes.insert(bytes.end(), {8, 2, 0, 0, 0});
  AppendBigEndian(0, &bytes);  // checksum: the size is refused first
  return bytes;
}

// Decoding must end; a picture must be whole and within the limits.
Status Decode(std::span<const uint8_t> bytes, const std::string& name) {
  // A copy of exactly this size, so that the sanitizer sees any read beyond the end.
  const std::vector<uint8_t> copy(bytes.begin(), bytes.end());
  ImageOptions options = {.max_pixels = 1 << 20, .max_side = 4096};
  // The same file again, over a background and for a small target: other ways through the decoders.
  options.background = Color{1, 2, 3};
  const auto fitted = DecodeImageFor({16, 16}, copy, name, options);
  EXPECT_TRUE(!fitted.ok() || !fitted->pixels.empty());
  options.background.reset();
  const auto image = DecodeImage(copy, name, options);
  if (!image.ok()) {
    EXPECT_TRUE(image.status().message().starts_with(name + ": ")) << image.status().message();
    return image.status();
  }
  EXPECT_GT(image->width, 0);
  EXPECT_GT(image->height, 0);
  EXPECT_LE(int64_t{image->width} * image->height, options.max_pixels);
  EXPECT_EQ(image->pixels.size(), static_cast<size_t>(image->width) * image->height * 3);
  return Status();
}

class BadInput : public ::testing::TestWithParam<GoldenFile> {
 protected:
  void SetUp() override {
    if (GetParam().heif() && !HeifSupported()) GTEST_SKIP() << "built without libheif";
    bytes_ = GoldenBytes("decode/" + GetParam().name);
  }
  std::vector<uint8_t> bytes_;
};

TEST_P(BadInput, PrefixesAreAnErrorOrAWholePicture) {
  // HEIF decoding is slow and its headers are long: a sample of the cuts.
  const size_t step = GetParam().heif() ? 23 : 1;
  for (size_t size = 0; size < bytes_.size(); size += step) {
    const Status status = Decode(std::span(bytes_).first(size), GetParam().name);
    // The first page of several may be whole in the first half.
    if (size < bytes_.size() / 2 && GetParam().name != "pages.tif") {
      EXPECT_FALSE(status.ok()) << size << " bytes";
    }
  }
}

TEST_P(BadInput, FlippedBytes) {
  TestRandom random;
  const int rounds = GetParam().heif() ? 60 : 300;
  for (int round = 0; round < rounds; ++round) {
    std::vector<uint8_t> damaged = bytes_;
    const int flips = random.Integer(1, 8);
    for (int i = 0; i < flips; ++i) {
      // Headers decide more than pixels: half of the flips go there.
      const size_t end = i % 2 == 0 ? std::min<size_t>(damaged.size(), 64) : damaged.size();
      const size_t at = static_cast<size_t>(random.Integer(0, static_cast<int>(end) - 1));
      damaged[at] = static_cast<uint8_t>(random.Integer(0, 255));
    }
    (void)Decode(damaged, GetParam().name);
  }
}

INSTANTIATE_TEST_SUITE_P(All, BadInput, ::testing::ValuesIn(GoldenFiles()), [](const auto& param) {
  std::string name = param.param.name;
  std::ranges::replace(name, '.', '_');
  return name;
});

TEST(BadInput, TruncationIsNamed) {
  for (const char* file : {"420.jpg", "progressive.jpg", "rgb8.png", "lossless.webp", "plain.gif",
                           "rgb24.bmp", "rle8.bmp"}) {
    const std::string name = file;
    const std::vector<uint8_t> bytes = GoldenBytes("decode/" + name);
    const Status status = Decode(std::span(bytes).first(bytes.size() * 3 / 4), name);
    EXPECT_EQ(status.code(), StatusCode::kDataError);
    EXPECT_THAT(status.message(), HasSubstr(name + ": truncated "));
  }
}

TEST(BadInput, JpegWithoutItsEndMarkerIsTruncated) {
  const std::vector<uint8_t> bytes = GoldenBytes("decode/420.jpg");
  EXPECT_EQ(Decode(std::span(bytes).first(bytes.size() - 2), "a.jpg").message(),
            "a.jpg: truncated JPEG: the file ends before its end-of-image marker");
}

TEST(BadInput, PngWithoutItsEndChunkIsComplete) {
  const std::vector<uint8_t> bytes = GoldenBytes("decode/rgb8.png");
  EXPECT_TRUE(Decode(std::span(bytes).first(bytes.size() - 12), "a.png").ok());
}

TEST(BadInput, HugePngHeader) {
  const auto image = DecodeImage(PngHeader(100'000, 100'000), "bomb.png");
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(image.status().message(),
              HasSubstr("bomb.png: 100000 x 100000 is 10000000000 pixels"));
}

TEST(BadInput, LongestSide) {
  const auto image = DecodeImage(PngHeader(0x7fffffff, 1), "line.png");
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.status().code(), StatusCode::kResourceExhausted);
}

TEST(BadInput, NoPixels) {
  EXPECT_THAT(Decode(PngHeader(0, 5), "a.png").message(), HasSubstr("no pixels (0 x 5)"));
  std::vector<uint8_t> bmp = GoldenBytes("decode/rgb24.bmp");
  std::fill_n(bmp.begin() + 18, 4, uint8_t{0});
  EXPECT_THAT(Decode(bmp, "a.bmp").message(), HasSubstr("no pixels"));
  std::vector<uint8_t> jpeg = GoldenBytes("decode/grey.jpg");
  const uint8_t frame[] = {0xff, 0xc0};
  const auto at = std::search(jpeg.begin(), jpeg.end(), std::begin(frame), std::end(frame));
  std::fill_n(at + 5, 2, uint8_t{0});
  EXPECT_EQ(Decode(jpeg, "a.jpg").code(), StatusCode::kDataError);
}

TEST(BadInput, NegativeBmpSizes) {
  std::vector<uint8_t> bmp = GoldenBytes("decode/rgb24.bmp");
  std::fill_n(bmp.begin() + 18, 4, uint8_t{0xff});
  EXPECT_EQ(Decode(bmp, "a.bmp").code(), StatusCode::kDataError);
  bmp = GoldenBytes("decode/rgb24.bmp");
  bmp[22] = bmp[23] = bmp[24] = 0;
  bmp[25] = 0x80;  // -2^31
  EXPECT_EQ(Decode(bmp, "a.bmp").code(), StatusCode::kResourceExhausted);
}

TEST(BadInput, EmptyFile) { EXPECT_EQ(Decode({}, "a.jpg").message(), "a.jpg: the file is empty"); }

TEST(BadInput, MagicBytesAlone) {
  for (const std::string& magic :
       {std::string("\xff\xd8\xff"), std::string("\x89PNG\r\n\x1a\n"),
        std::string("RIFF\0\0\0\0WEBP", 12), std::string("GIF89a"), std::string("BM"),
        std::string("II*\0", 4), std::string("MM\0*", 4), std::string("II+\0", 4),
        std::string("P6\n"), std::string("P1 "), std::string("\0\0\1\0", 4),
        std::string("\0\0\0\x10"
                    "ftypheic",
                    12)}) {
    const auto* data = reinterpret_cast<const uint8_t*>(magic.data());
    EXPECT_FALSE(Decode({data, magic.size()}, "a").ok());
  }
}

TEST(BadInput, RandomBytesAfterTheMagic) {
  TestRandom random;
  for (const GoldenFile& file : GoldenFiles()) {
    if (file.heif() && !HeifSupported()) continue;
    std::vector<uint8_t> bytes = GoldenBytes("decode/" + file.name);
    for (size_t i = 16; i < bytes.size(); ++i) {
      bytes[i] = static_cast<uint8_t>(random.Integer(0, 255));
    }
    (void)Decode(bytes, file.name);
  }
}

TEST(BadInput, JpegOfManyScans) {
  // A progressive file whose first scan is repeated.
  const std::vector<uint8_t> jpeg = GoldenBytes("decode/progressive.jpg");
  const uint8_t marker[] = {0xff, 0xda};
  const auto first = std::search(jpeg.begin(), jpeg.end(), std::begin(marker), std::end(marker));
  const auto second = std::search(first + 2, jpeg.end(), std::begin(marker), std::end(marker));
  ASSERT_NE(second, jpeg.end());
  std::vector<uint8_t> bytes(jpeg.begin(), second);
  for (int i = 0; i < 200; ++i) bytes.insert(bytes.end(), first, second);
  const Status status = Decode(bytes, "a.jpg");
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("scans"));
}

}  // namespace

}  // namespace fastvlm
