#include <gmock/gmock.h>

#include "image/image.h"
#include "image/other_kinds.h"
#include "image/test_files.h"

namespace fastvlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Status StatusOf(std::string_view text, const ImageOptions& options = {}) {
  const auto image = DecodeImage(BytesOf(text), "a.pnm", options);
  return image.ok() ? Status() : image.status();
}

TEST(Pnm, CommentsMayStandAnywhereInAHeaderAndAmongPlainValues) {
  const auto image = DecodeImage(BytesOf("P2#a\n# b 9\r2#c\n1 #d\n 10\n0#e\n 10#f"), "a.pgm");
  ASSERT_TRUE(image.ok()) << image.status().message();
  EXPECT_THAT(image->pixels, ElementsAre(0, 0, 0, 255, 255, 255));
}

TEST(Pnm, HalvesRoundToEven) {
  // 1 / 2 of 255 is 127.5, and 1 / 6 is 42.5.
  EXPECT_EQ(DecodeImage(BytesOf("P2 1 1 2 1"), "a")->pixels[0], 128);
  EXPECT_EQ(DecodeImage(BytesOf("P2 1 1 6 1"), "a")->pixels[0], 42);
}

TEST(Pnm, DamageIsNamed) {
  EXPECT_THAT(StatusOf("P6\n2 2\n255\nabc").message(), HasSubstr("truncated PNM: the file ends"));
  EXPECT_THAT(StatusOf("P3 1 1 255 1 2").message(), HasSubstr("truncated PNM: expected a number"));
  EXPECT_THAT(StatusOf("P3 1 1 255 1 2 x").message(), HasSubstr("damaged PNM: expected a number"));
  EXPECT_THAT(StatusOf("P3 1 1 255 1 2 256").message(), HasSubstr("above the largest"));
  EXPECT_THAT(StatusOf("P1 2 1 12").message(), HasSubstr("damaged PNM: expected a number"));
  for (const char* max : {"0", "65536", "-1", "x", "99999999999"}) {
    EXPECT_THAT(StatusOf(std::string("P5 1 1 ") + max + "\nabc").message(),
                HasSubstr("largest value of 1 to 65535"));
  }
  EXPECT_THAT(StatusOf("P5 x").message(), HasSubstr("expected the width"));
  EXPECT_THAT(StatusOf("P5 1 1 255x").message(), HasSubstr("a blank behind its header"));
  EXPECT_THAT(StatusOf("P5 0 1 255 ").message(), HasSubstr("no pixels"));
  EXPECT_EQ(StatusOf("P6 999999 999999 255 ").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(StatusOf("P6 9999999999 1 255 ").code(), StatusCode::kResourceExhausted);
}

TEST(Ico, DamageIsNamed) {
  const Bytes icon = GoldenBytes("decode/bitmap24.ico");
  const auto message = [](const Bytes& bytes, const ImageOptions& options = {}) {
    const auto image = DecodeImage(bytes, "a.ico", options);
    return image.ok() ? std::string() : image.status().message();
  };
  EXPECT_EQ(message(icon), "");
  EXPECT_THAT(message({0, 0, 1, 0, 0, 0}), HasSubstr("its list says 0 pictures"));
  EXPECT_THAT(message({0, 0, 1, 0, 9, 0, 1}), HasSubstr("its list says 9 pictures"));
  Bytes damaged = icon;
  damaged[6 + 15] = 0x7f;  // the offset of the first, which is the largest
  EXPECT_THAT(message(damaged), HasSubstr("its largest picture ends at byte"));
  damaged = icon;
  damaged[6 + 8] = 8;  // its size
  damaged[6 + 9] = 0;
  EXPECT_THAT(message(damaged), HasSubstr("truncated BMP: 8 bytes"));
  damaged = icon;
  damaged[6 + 16 * 2] = 12;  // an OS/2 header, which icons do not have
  EXPECT_THAT(message(damaged), HasSubstr("unsupported ICO: a bitmap header of 12 bytes"));
}

TEST(OtherKinds, AreNamedWithWhatToDo) {
  const auto message = [](std::string_view text) {
    const auto image = DecodeImage(BytesOf(text), "a");
    return image.ok() ? std::string() : image.status().message();
  };
  EXPECT_THAT(message("%PDF-1.7\n"), HasSubstr("a: a PDF is not a picture; convert the page, for "
                                               "example with 'pdftoppm"));
  EXPECT_THAT(message("\n%PDF-1.4 behind a blank"), HasSubstr("a PDF is not a picture"));
  EXPECT_THAT(message("<?xml version='1.0'?>\n<svg width='1'/>"), HasSubstr("SVG"));
  EXPECT_THAT(message("<!DOCTYPE html><p>404"), HasSubstr("web page"));
  EXPECT_THAT(message({"\0\0\0\x18"
                       "ftypmp42",
                       12}),
              HasSubstr("video"));
  EXPECT_THAT(message("RIFFxxxxAVI LIST"), HasSubstr("video"));
  EXPECT_THAT(message("\x1a\x45\xdf\xa3webm"), HasSubstr("video"));
  EXPECT_THAT(message("\xff\x0a rest"), HasSubstr("JPEG XL"));
  EXPECT_THAT(message("8BPS"), HasSubstr("Photoshop"));
  EXPECT_THAT(message("%!PS-Adobe"), HasSubstr("PostScript"));
  EXPECT_THAT(message("%PDF-1.7"), HasSubstr("JPEG, PNG, WebP, GIF"));
  for (const char* other : {"", "hello", "ftyp", "P7\nWIDTH 1\n"}) {
    EXPECT_EQ(OtherKindOf(BytesOf(other)), "") << other;
  }
}

}  // namespace
}  // namespace fastvlm
