#include "image/row_resizer.h"

#include <gmock/gmock.h>
#include <jpeglib.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "image/orientation.h"
#include "image/preprocess.h"
#include "image/test_files.h"
#include "support/random.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

Image NoisyImage(TestRandom& random, int width, int height) {
  Image image{width, height, std::vector<uint8_t>(static_cast<size_t>(width) * height * 3)};
  for (uint8_t& value : image.pixels) {
    value = static_cast<uint8_t>(std::clamp(random.Integer(-128, 383), 0, 255));
  }
  return image;
}

TEST(RowResizer, EqualsTheResizeOfTheWholeUprightPicture) {
  TestRandom random;
  for (int round = 0; round < 240; ++round) {
    const int orientation = round % 8 + 1;
    const Image stored = NoisyImage(random, random.Integer(1, 120), random.Integer(1, 120));
    const int width = random.Integer(1, 64);
    const int height = random.Integer(1, 64);
    const Fit fit = std::array{Fit::kPad, Fit::kCrop, Fit::kStretch}[round % 3];
    const Image shown = ApplyOrientation(stored, orientation);
    const FitAxes axes = AxesOfFit(shown.width, shown.height, width, height, fit);
    RowResizer resizer(stored.width, stored.height, orientation, axes.horizontal, axes.vertical);
    resizer.Start();
    // The order of the rows does not matter.
    const bool upwards = round % 2 == 1;
    for (int i = 0; i < stored.height; ++i) {
      const int y = upwards ? stored.height - 1 - i : i;
      resizer.Add(y, &stored.pixels[static_cast<size_t>(y) * stored.width * 3]);
    }
    const Image actual = resizer.Take();
    const auto expected = FitImage(shown, height, width, fit);
    ASSERT_TRUE(expected.ok());
    ASSERT_EQ(actual.width, width);
    ASSERT_EQ(actual.height, height);
    ASSERT_EQ(actual.pixels, expected->pixels)
        << stored.width << "x" << stored.height << " orientation " << orientation << " to " << width
        << "x" << height << " fit " << static_cast<int>(fit);
  }
}

TEST(RowResizer, AFittedPictureIsFittedToItself) {
  TestRandom random;
  const Image image = NoisyImage(random, 96, 64);
  for (Fit fit : {Fit::kPad, Fit::kCrop, Fit::kStretch}) {
    EXPECT_EQ(FitImage(image, 64, 96, fit)->pixels, image.pixels);
  }
}

// What a photo of 108 megapixels needs to become 1024 x 1024: 324 MB if it were held whole.
TEST(RowResizer, HoldsLittleOfALargePicture) {
  for (int orientation : {1, 6}) {
    for (Fit fit : {Fit::kPad, Fit::kCrop, Fit::kStretch}) {
      const FitAxes axes = orientation == 1 ? AxesOfFit(12'000, 9'000, 1024, 1024, fit)
                                            : AxesOfFit(9'000, 12'000, 1024, 1024, fit);
      const RowResizer resizer(12'000, 9'000, orientation, axes.horizontal, axes.vertical);
      EXPECT_GT(resizer.held_bytes(), 1024 * 1024 * 3);
      EXPECT_LT(resizer.held_bytes(), 6'000'000) << orientation;
    }
  }
}

struct JpegKind {
  int components = 3;
  int horizontal = 2;  // subsampling of chroma
  int vertical = 2;
  bool progressive = false;
  int orientation = 1;
};

Bytes EncodedJpeg(const Image& image, const JpegKind& kind) {
  jpeg_compress_struct jpeg = {};
  jpeg_error_mgr errors = {};
  jpeg.err = jpeg_std_error(&errors);  // ends the test program on an error
  jpeg_create_compress(&jpeg);
  unsigned char* data = nullptr;
  unsigned long size = 0;  // NOLINT: libjpeg's type
  jpeg_mem_dest(&jpeg, &data, &size);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.input_components = kind.components;
  jpeg.in_color_space = kind.components == 3   ? JCS_RGB
                        : kind.components == 4 ? JCS_CMYK
                                               : JCS_GRAYSCALE;
  jpeg_set_defaults(&jpeg);
  if (kind.components == 3) {
    jpeg.comp_info[0].h_samp_factor = kind.horizontal;
    jpeg.comp_info[0].v_samp_factor = kind.vertical;
  }
  if (kind.progressive) jpeg_simple_progression(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  const Bytes exif =
      Joined({BytesOf(kExifPrefix),
              BytesOf("MM"),
              {0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3},
              {0, 0, 0, 1, 0, static_cast<uint8_t>(kind.orientation), 0, 0, 0, 0, 0, 0}});
  jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif.data(), static_cast<unsigned>(exif.size()));
  std::vector<uint8_t> row(static_cast<size_t>(image.width) * kind.components);
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* from = &image.pixels[static_cast<size_t>(y) * image.width * 3];
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = kind.components == 3 ? from[i] : from[i / kind.components * 3 + i % 3];
    }
    JSAMPROW pointer = row.data();
    jpeg_write_scanlines(&jpeg, &pointer, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  Bytes bytes(data, data + size);
  std::free(data);
  return bytes;
}

// Waves, so that a subsampling that is undone otherwise shows.
Image Waves(int width, int height) {
  Image image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c : {3, 5, 11}) {
        image.pixels.push_back(static_cast<uint8_t>(x * c + y * 7 + x * y / (c + 3)));
      }
    }
  }
  return image;
}

TEST(DecodeImageFor, EqualsDecodingWholeAndThenFitting) {
  const JpegKind kinds[] = {{3, 1, 1}, {3, 2, 1},       {3, 1, 2}, {3, 2, 2},
                            {3, 4, 1}, {3, 2, 2, true}, {1},       {4}};
  int round = 0;
  for (JpegKind kind : kinds) {
    for (const auto& [width, height] : {std::pair(331, 197), std::pair(160, 240)}) {
      for (int orientation = 1; orientation <= 8; ++orientation, ++round) {
        kind.orientation = orientation;
        const Bytes file = EncodedJpeg(Waves(width, height), kind);
        const EncodeOptions target{
            .width = 32 + round % 5 * 16,
            .height = 64 - round % 3 * 16,
            .fit = std::array{Fit::kPad, Fit::kCrop, Fit::kStretch}[round % 3]};
        const ImageOptions options{.orient = round % 7 != 0};
        const auto whole = DecodeImage(file, "whole.jpg", options);
        const auto fitted = DecodeImageFor(target, file, "fitted.jpg", options);
        ASSERT_TRUE(whole.ok() && fitted.ok());
        ASSERT_EQ(fitted->width, target.width);
        ASSERT_EQ(fitted->height, target.height);
        ASSERT_EQ(fitted->pixels, FitImage(*whole, target.height, target.width, target.fit)->pixels)
            << kind.components << " components " << kind.horizontal << "x" << kind.vertical
            << " orientation " << orientation;
      }
    }
  }
}

TEST(DecodeImageFor, EveryGoldenFileGivesWhatTheModelWouldSeeOfTheWhole) {
  int smaller = 0;
  for (const GoldenFile& file : GoldenFiles()) {
    if (file.heif() && !HeifSupported()) continue;
    const Bytes bytes = GoldenBytes("decode/" + file.name);
    for (const EncodeOptions& target :
         {EncodeOptions{8, 8, Fit::kPad}, EncodeOptions{9, 6, Fit::kCrop},
          EncodeOptions{64, 64, Fit::kStretch}}) {
      const auto whole = DecodeImage(bytes, file.name);
      const auto image = DecodeImageFor(target, bytes, file.name);
      ASSERT_TRUE(whole.ok() && image.ok()) << file.name;
      smaller += image->pixels.size() < whole->pixels.size() ? 1 : 0;
      EXPECT_LE(image->pixels.size(), whole->pixels.size()) << file.name;
      EXPECT_EQ(FitImage(*image, target.height, target.width, target.fit)->pixels,
                FitImage(*whole, target.height, target.width, target.fit)->pixels)
          << file.name;
    }
  }
  EXPECT_GT(smaller, 100);
}

TEST(DecodeImageFor, ASizeThatNoModelHasGivesTheWholePicture) {
  const Bytes file = EncodedJpeg(Waves(331, 197), {});
  const auto whole = DecodeImage(file, "a.jpg");
  for (const EncodeOptions& target : {EncodeOptions{}, EncodeOptions{-1, 64},
                                      EncodeOptions{331, 197}, EncodeOptions{1'000'000, 1}}) {
    const auto image = DecodeImageFor(target, file, "a.jpg");
    ASSERT_TRUE(image.ok());
    EXPECT_EQ(image->pixels, whole->pixels);
  }
}

TEST(DecodeImageFor, OnlyABaselineJpegIsDecodedInLittleMemory) {
  const Image picture = Waves(1200, 900);  // 3.2 MB of RGB
  const Bytes baseline = EncodedJpeg(picture, {});
  const Bytes progressive = EncodedJpeg(picture, {.progressive = true});
  const EncodeOptions target{64, 64};
  const ImageOptions little{.max_decode_bytes = 500'000};
  EXPECT_TRUE(DecodeImageFor(target, baseline, "a.jpg", little).ok());
  for (const auto& image : {DecodeImage(baseline, "a.jpg", little),
                            DecodeImageFor(target, progressive, "a.jpg", little)}) {
    ASSERT_FALSE(image.ok());
    EXPECT_EQ(image.status().code(), StatusCode::kResourceExhausted);
    EXPECT_THAT(image.status().message(), HasSubstr("a.jpg: decoding its 1200 x 900 pixels takes"));
  }
  // Its coefficients take 2 bytes for each sample, of which 4:2:0 has 1.5 a pixel.
  EXPECT_TRUE(DecodeImageFor(target, progressive, "a.jpg", {.max_decode_bytes = 4'000'000}).ok());
}

TEST(DecodeImageFor, ATruncatedJpegIsAnError) {
  const Bytes file = EncodedJpeg(Waves(331, 197), {});
  const auto image =
      DecodeImageFor({64, 64}, std::span(file).first(file.size() * 3 / 4), "cut.jpg");
  ASSERT_FALSE(image.ok());
  EXPECT_THAT(image.status().message(), HasSubstr("cut.jpg: truncated JPEG"));
}

}  // namespace
}  // namespace fastvlm
