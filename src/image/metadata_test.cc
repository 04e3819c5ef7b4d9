// Where a file may hold the orientation besides EXIF, and which place counts. The files are made of
// golden ones by adding metadata.
#include <gtest/gtest.h>

#include <algorithm>

#include "image/image.h"
#include "image/orientation.h"
#include "image/png_metadata.h"
#include "image/test_files.h"
#include "support/random.h"

namespace fastvlm {
namespace {

constexpr std::string_view kXmpText = "XML:com.adobe.xmp";

std::string XmpAttribute(int orientation) {
  return "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:Description tiff:Orientation=\"" +
         std::to_string(orientation) + "\"/></x:xmpmeta>";
}

std::string XmpElement(int orientation) {
  return "<rdf:Description><tiff:Orientation>" + std::to_string(orientation) +
         "</tiff:Orientation></rdf:Description>";
}

// A directory of one entry, which is the orientation or, for 0, the width.
Bytes ExifBlock(uint8_t orientation) {
  return {
      'M', 'M', 0, 42, 0, 0, 0, 8,           0, 1, 1, static_cast<uint8_t>(orientation ? 0x12 : 0),
      0,   3,   0, 0,  0, 1, 0, orientation, 0, 0, 0, 0,
      0,   0};
}

Bytes WithPrefix(std::string_view prefix, const Bytes& bytes) {
  return Joined({BytesOf(prefix), bytes});
}

// The profile as ImageMagick writes it, with a length that may be a lie.
std::string RawProfile(const std::string& name, const Bytes& bytes, const std::string& length) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "\n" + name + "\n" + length + "\n";
  for (size_t i = 0; i < bytes.size(); ++i) {
    text += {kDigits[bytes[i] >> 4], kDigits[bytes[i] & 15]};
    if (i % 36 == 35) text += '\n';
  }
  return text + "\n";
}

Bytes Text(std::string_view keyword, std::string_view text) {
  return PngChunk("tEXt", Joined({BytesOf(keyword), {0}, BytesOf(text)}));
}

Bytes CompressedText(std::string_view keyword, std::string_view text) {
  return PngChunk("zTXt", Joined({BytesOf(keyword), {0, 0}, Deflated(BytesOf(text))}));
}

Bytes International(std::string_view text, bool compressed) {
  const Bytes bytes = compressed ? Deflated(BytesOf(text)) : BytesOf(text);
  return PngChunk(
      "iTXt",
      Joined({BytesOf(kXmpText), {0, static_cast<uint8_t>(compressed), 0, 'e', 'n', 0, 0}, bytes}));
}

// The golden PNG with chunks added behind its header or before its end.
Bytes PngWith(const Bytes& chunks, bool before_pixels = true) {
  Bytes png = GoldenBytes("decode/rgb8.png");
  const std::ptrdiff_t at = before_pixels ? 33 : static_cast<std::ptrdiff_t>(png.size()) - 12;
  png.insert(png.begin() + at, chunks.begin(), chunks.end());
  return png;
}

Bytes App1(std::string_view prefix, const Bytes& data) {
  const size_t size = 2 + prefix.size() + data.size();
  return Joined({{0xff, 0xe1, static_cast<uint8_t>(size >> 8), static_cast<uint8_t>(size)},
                 BytesOf(prefix),
                 data});
}

Bytes JpegWith(const Bytes& segments) {
  Bytes jpeg = GoldenBytes("decode/420.jpg");
  jpeg.insert(jpeg.begin() + 2, segments.begin(), segments.end());
  return jpeg;
}

Bytes RiffChunk(std::string_view kind, const Bytes& data) {
  Bytes size = BigEndian32(data.size());
  std::ranges::reverse(size);
  return Joined({BytesOf(kind), size, data, Bytes(data.size() % 2)});
}

// The golden WebP of 23 x 17 in the extended format, with chunks behind its picture.
Bytes WebpWith(uint8_t flags, const Bytes& chunks) {
  const Bytes webp = GoldenBytes("decode/lossless.webp");
  const Bytes picture(webp.begin() + 12, webp.end());
  const Bytes header = RiffChunk("VP8X", {flags, 0, 0, 0, 22, 0, 0, 16, 0, 0});
  return RiffChunk("RIFF", Joined({BytesOf("WEBP"), header, picture, chunks}));
}

// The orientation with which `bytes` were shown, where `plain` is the same picture upright; 0 if it
// is none.
int ShownAs(const Bytes& bytes, const std::string& plain) {
  const Image upright = GoldenImage(plain);
  const auto shown = DecodeImage(bytes, "a picture");
  EXPECT_TRUE(shown.ok()) << shown.status().message();
  for (int orientation = 1; shown.ok() && orientation <= 8; ++orientation) {
    const Image turned = ApplyOrientation(upright, orientation);
    if (turned.width == shown->width && turned.pixels == shown->pixels) return orientation;
  }
  return 0;
}

int PngShownAs(const Bytes& chunks, bool before_pixels = true) {
  return ShownAs(PngWith(chunks, before_pixels), "decode/rgb8.png");
}

int JpegShownAs(const Bytes& segments) { return ShownAs(JpegWith(segments), "decode/420.jpg"); }

TEST(ReadXmpOrientation, AttributesAndElements) {
  for (int value = 1; value <= 8; ++value) {
    EXPECT_EQ(ReadXmpOrientation(XmpAttribute(value)), value);
    EXPECT_EQ(ReadXmpOrientation(XmpElement(value)), value);
  }
}

TEST(ReadXmpOrientation, OtherValuesAreUpright) {
  EXPECT_EQ(ReadXmpOrientation(XmpAttribute(0)), 1);
  EXPECT_EQ(ReadXmpOrientation(XmpElement(9)), 1);
  EXPECT_EQ(ReadXmpOrientation(XmpElement(9) + XmpElement(6)), 1);
}

TEST(ReadXmpOrientation, BrokenPacketsHaveNone) {
  for (const char* text : {"", "tiff:Orientation", "tiff:Orientation=", "tiff:Orientation=\"",
                           "tiff:Orientation>", "<tiff:Orientation/>", "tiff:Orientation=\"x",
                           "exif:Orientation=\"6\"", "tiff:Orientatio=\"6\""}) {
    EXPECT_EQ(ReadXmpOrientation(text), std::nullopt) << text;
  }
  EXPECT_EQ(ReadXmpOrientation("tiff:Orientation tiff:Orientation=\"6"), 6);
}

TEST(ReadOrientation, ExifCountsUnlessItHasNoTag) {
  const std::string xmp = XmpAttribute(6);
  EXPECT_EQ(ReadOrientation({.exif = {}, .xmp = xmp}), 6);
  EXPECT_EQ(ReadOrientation({.exif = ExifBlock(0), .xmp = xmp}), 6);
  EXPECT_EQ(ReadOrientation({.exif = BytesOf("Exif and then nothing"), .xmp = xmp}), 6);
  EXPECT_EQ(ReadOrientation({.exif = ExifBlock(1), .xmp = xmp}), 1);
  EXPECT_EQ(ReadOrientation({.exif = ExifBlock(3), .xmp = xmp}), 3);
  EXPECT_EQ(ReadOrientation({.exif = ExifBlock(9), .xmp = xmp}), 1);
  EXPECT_EQ(ReadOrientation({}), 1);
}

TEST(JpegMetadata, Xmp) {
  for (int value = 1; value <= 8; ++value) {
    EXPECT_EQ(JpegShownAs(App1(kXmpPrefix, BytesOf(XmpElement(value)))), value);
  }
}

TEST(JpegMetadata, ExifCountsAndOfSeveralPacketsTheLast) {
  const Bytes six = App1(kXmpPrefix, BytesOf(XmpAttribute(6)));
  const Bytes eight = App1(kXmpPrefix, BytesOf(XmpAttribute(8)));
  EXPECT_EQ(JpegShownAs(Joined({six, App1(kExifPrefix, ExifBlock(3))})), 3);
  EXPECT_EQ(JpegShownAs(Joined({App1(kExifPrefix, ExifBlock(0)), six})), 6);
  EXPECT_EQ(JpegShownAs(Joined({six, eight})), 8);
  EXPECT_EQ(JpegShownAs(Joined({six, App1(kXmpPrefix, BytesOf("<broken"))})), 1);
  EXPECT_EQ(JpegShownAs(App1("http://ns.adobe.com/xmp/extension/", BytesOf(XmpElement(6)))), 1);
  EXPECT_EQ(JpegShownAs(App1(kXmpPrefix, {})), 1);
}

TEST(JpegMetadata, ExifInSeveralSegments) {
  const Bytes block = ExifBlock(5);
  const Bytes first(block.begin(), block.begin() + 11);
  const Bytes second(block.begin() + 11, block.end());
  EXPECT_EQ(JpegShownAs(Joined({App1(kExifPrefix, first), App1(kExifPrefix, second)})), 5);
}

TEST(WebpMetadata, XmpUnlessExifHasIt) {
  constexpr uint8_t kXmpFlag = 4;
  constexpr uint8_t kExifFlag = 8;
  const std::string plain = "decode/lossless.webp";
  for (int value = 1; value <= 8; ++value) {
    const Bytes xmp = RiffChunk("XMP ", BytesOf(XmpElement(value)));
    EXPECT_EQ(ShownAs(WebpWith(kXmpFlag, xmp), plain), value);
    const Bytes exif = RiffChunk("EXIF", ExifBlock(7));
    EXPECT_EQ(ShownAs(WebpWith(kXmpFlag | kExifFlag, Joined({exif, xmp})), plain), 7);
  }
  EXPECT_EQ(ShownAs(WebpWith(kXmpFlag, RiffChunk("XMP ", {})), plain), 1);
}

TEST(PngOrientation, XmpInEveryKindOfText) {
  for (int value = 1; value <= 8; ++value) {
    for (bool before : {true, false}) {
      const std::string xmp = XmpAttribute(value);
      EXPECT_EQ(PngShownAs(International(xmp, false), before), value);
      EXPECT_EQ(PngShownAs(International(xmp, true), before), value);
      EXPECT_EQ(PngShownAs(Text(kXmpText, xmp), before), value);
      EXPECT_EQ(PngShownAs(CompressedText(kXmpText, xmp), before), value);
    }
  }
}

TEST(PngOrientation, RawProfiles) {
  for (uint8_t value = 1; value <= 8; ++value) {
    const Bytes exif = WithPrefix(kExifPrefix, ExifBlock(value));
    const std::string text = RawProfile("exif", exif, "      32");
    EXPECT_EQ(PngShownAs(Text("Raw profile type exif", text)), value);
    EXPECT_EQ(PngShownAs(CompressedText("Raw profile type exif", text)), value);
    EXPECT_EQ(PngShownAs(CompressedText("Raw profile type APP1", text), false), value);
    const Bytes xmp = WithPrefix(kXmpPrefix, BytesOf(XmpElement(value)));
    EXPECT_EQ(PngShownAs(Text("Raw profile type APP1", RawProfile("APP1", xmp, "1"))), value);
  }
}

TEST(PngOrientation, WhichPlaceCounts) {
  const auto profile = [](uint8_t value) {
    const std::string text = RawProfile("exif", ExifBlock(value), "26");
    return Text("Raw profile type exif", text);
  };
  const auto app1 = [](uint8_t value) {
    return Text("Raw profile type APP1", RawProfile("APP1", ExifBlock(value), "26"));
  };
  const auto chunk = [](uint8_t value) { return PngChunk("eXIf", ExifBlock(value)); };
  const Bytes xmp = International(XmpAttribute(8), true);
  EXPECT_EQ(PngShownAs(Joined({chunk(2), profile(3), app1(4), xmp})), 2);
  EXPECT_EQ(PngShownAs(Joined({profile(3), app1(4), xmp, chunk(2)})), 2);
  EXPECT_EQ(PngShownAs(Joined({app1(4), profile(3), xmp})), 3);
  EXPECT_EQ(PngShownAs(Joined({xmp, app1(4)})), 4);
  EXPECT_EQ(PngShownAs(Joined({chunk(0), profile(3), xmp})), 8);
  EXPECT_EQ(PngShownAs(Joined({profile(0), xmp})), 8);
  EXPECT_EQ(PngShownAs(Joined({profile(9), xmp})), 1);
  // Of several the last counts.
  EXPECT_EQ(PngShownAs(Joined({chunk(2), chunk(5)})), 5);
  EXPECT_EQ(PngShownAs(Joined({xmp, International(XmpElement(7), false)})), 7);
}

TEST(PngOrientation, BrokenTextIsLeftOut) {
  const Bytes six = International(XmpAttribute(6), false);
  for (const Bytes& data :
       {Bytes{}, BytesOf(kXmpText), Joined({BytesOf(kXmpText), {0}}),
        Joined({BytesOf(kXmpText), {0, 1}}), Joined({BytesOf(kXmpText), {0, 1, 7, 0, 0, 'x'}}),
        Joined({BytesOf(kXmpText), {0, 1, 0, 0}}),
        Joined({BytesOf(kXmpText), {0, 1, 0, 0, 0, 'n', 'o', 't', ' ', 'z'}})}) {
    EXPECT_EQ(PngShownAs(Joined({six, PngChunk("iTXt", data)})), 6) << data.size();
    EXPECT_EQ(PngShownAs(Joined({PngChunk("zTXt", data), six})), 6) << data.size();
  }
  const Bytes exif = ExifBlock(6);
  for (const std::string& text :
       {std::string(), std::string("\nexif"), std::string("\nexif\n26\n"),
        RawProfile("exif", exif, "26") + "!", std::string("\nexif\n26\n4d4")}) {
    EXPECT_EQ(PngShownAs(Text("Raw profile type exif", text)), 1) << text;
  }
}

TEST(PngOrientation, StatedLengthsOfProfilesAreNotTrusted) {
  for (const char* length : {"0", "-1", "18446744073709551615", "", "not a number"}) {
    const std::string text = RawProfile("exif", ExifBlock(6), length);
    EXPECT_EQ(PngShownAs(CompressedText("Raw profile type exif", text)), 6) << length;
  }
}

TEST(PngOrientation, TextMayInflateToOneMebibyte) {
  const std::string xmp = XmpAttribute(6);
  const std::string small(PngMetadata::kMaxTextBytes - xmp.size() - 1, ' ');
  EXPECT_EQ(PngShownAs(International(xmp + small, true)), 6);
  EXPECT_EQ(PngShownAs(International(xmp + small, false)), 6);
  const std::string large(PngMetadata::kMaxTextBytes, ' ');
  EXPECT_EQ(PngShownAs(International(xmp + large, true)), 1);
  EXPECT_EQ(PngShownAs(International(xmp + large, false)), 1);
}

TEST(PngOrientation, TextsInflateToEightMebibytesInAll) {
  const Bytes bomb = CompressedText(kXmpText, std::string(64 << 20, ' '));
  Bytes bombs;
  for (size_t i = 0; i < PngMetadata::kMaxInflatedBytes / PngMetadata::kMaxTextBytes; ++i) {
    EXPECT_EQ(PngShownAs(Joined({bombs, International(XmpAttribute(6), true)})), 6) << i;
    bombs = Joined({bombs, bomb});
  }
  EXPECT_EQ(PngShownAs(Joined({bombs, International(XmpAttribute(6), true)})), 1);
  EXPECT_EQ(PngShownAs(Joined({bombs, International(XmpAttribute(6), false)})), 6);
}

TEST(PngOrientation, DamagedMetadataNeverSpoilsThePicture) {
  TestRandom random;
  const Bytes exif = WithPrefix(kExifPrefix, ExifBlock(6));
  const Bytes chunks = Joined({Text("Raw profile type exif", RawProfile("exif", exif, "32")),
                               International(XmpAttribute(6), true), PngChunk("eXIf", exif)});
  for (int round = 0; round < 2'000; ++round) {
    Bytes damaged = chunks;
    for (int i = 0; i < 4; ++i) {
      damaged[static_cast<size_t>(random.Integer(0, static_cast<int>(damaged.size()) - 1))] =
          static_cast<uint8_t>(random.Integer(0, 255));
    }
    // Behind the pixels even the lengths and types of chunks may be wrong.
    EXPECT_NE(PngShownAs(damaged, false), 0);
  }
}

TEST(JpegMetadata, DamageNeverSpoilsThePicture) {
  TestRandom random;
  const Bytes exif = App1(kExifPrefix, ExifBlock(6));
  const Bytes segments = Joined({exif, App1(kXmpPrefix, BytesOf(XmpAttribute(6)))});
  for (int round = 0; round < 2'000; ++round) {
    Bytes damaged = segments;
    for (int i = 0; i < 4; ++i) {
      const size_t at =
          static_cast<size_t>(random.Integer(0, static_cast<int>(damaged.size()) - 1));
      // The markers and lengths of the two segments are not metadata.
      if (at % exif.size() >= 4) damaged[at] = static_cast<uint8_t>(random.Integer(0, 255));
    }
    EXPECT_NE(JpegShownAs(damaged), 0);
  }
}

}  // namespace
}  // namespace fastvlm
