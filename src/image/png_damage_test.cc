// Which damage of a PNG is stepped over, and which is an error: that of Pillow, but for checksums
// of chunks before the pixels that are not needed to show them.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "image/image.h"
#include "image/test_files.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

constexpr uint8_t kWidth = 5;
constexpr uint8_t kHeight = 7;

const Bytes& Signature() {
  static const Bytes signature = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  return signature;
}

Bytes Header(uint8_t color_type = 2, uint32_t damage = 0) {
  return PngChunk("IHDR", {0, 0, 0, kWidth, 0, 0, 0, kHeight, 8, color_type, 0, 0, 0}, damage);
}

Bytes Pixels() {
  Bytes pixels(size_t{kWidth} * kHeight * 3);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 37);
  return pixels;
}

// The pixels as a zlib stream of unfiltered rows.
Bytes Stream() {
  const Bytes pixels = Pixels();
  Bytes rows;
  for (auto row = pixels.begin(); row != pixels.end(); row += kWidth * 3) {
    rows.push_back(0);
    rows.insert(rows.end(), row, row + kWidth * 3);
  }
  return Deflated(rows);
}

Bytes Part(const Bytes& bytes, size_t from, size_t to) {
  return Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(from),
               bytes.begin() + static_cast<std::ptrdiff_t>(to));
}

Bytes First(const Bytes& bytes, size_t size) { return Part(bytes, 0, size); }

const Bytes& End() {
  static const Bytes end = PngChunk("IEND", {});
  return end;
}

Status DecodeWhole(const Bytes& bytes) {
  const auto image = DecodeImage(bytes, "a.png");
  if (!image.ok()) return image.status();
  EXPECT_EQ(image->width, kWidth);
  EXPECT_EQ(image->pixels, Pixels());
  return Status();
}

TEST(PngDamage, ChecksumsOfPixelsAreNotLookedAt) {
  const Bytes stream = Stream();
  EXPECT_TRUE(DecodeWhole(Joined({Signature(), Header(), PngChunk("IDAT", stream), End()})).ok());
  EXPECT_TRUE(
      DecodeWhole(Joined({Signature(), Header(), PngChunk("IDAT", stream, 1), End()})).ok());
  EXPECT_TRUE(DecodeWhole(Joined({Signature(), Header(), PngChunk("IDAT", First(stream, 20), 1),
                                  PngChunk("IDAT", Part(stream, 20, stream.size()), 1), End()}))
                  .ok());
}

TEST(PngDamage, ChecksumsOfWhatIsNotNeededAreNotLookedAt) {
  const Bytes pixels = PngChunk("IDAT", Stream());
  for (const char* type :
       {"tEXt", "iTXt", "eXIf", "pHYs", "gAMA", "tRNS", "iCCP", "acTL", "zzZz"}) {
    const Bytes chunk = PngChunk(type, {1, 2, 3, 0, 4, 5, 6}, 1);
    EXPECT_TRUE(DecodeWhole(Joined({Signature(), Header(), chunk, pixels, End()})).ok()) << type;
    EXPECT_TRUE(DecodeWhole(Joined({Signature(), Header(), pixels, chunk, End()})).ok()) << type;
  }
}

TEST(PngDamage, ChecksumsOfHeaderAndPaletteHaveToBeRight) {
  const Bytes pixels = PngChunk("IDAT", Stream());
  EXPECT_THAT(DecodeWhole(Joined({Signature(), Header(2, 1), pixels, End()})).message(),
              HasSubstr("a.png: damaged PNG: IHDR: CRC error"));
  const Bytes palette = PngChunk("PLTE", Bytes(30), 1);
  EXPECT_THAT(DecodeWhole(Joined({Signature(), Header(3), palette, pixels, End()})).message(),
              HasSubstr("a.png: damaged PNG: PLTE: CRC error"));
}

TEST(PngDamage, CutsBehindTheLastPixelAreWhole) {
  const Bytes stream = Stream();
  const Bytes png = Joined({Signature(), Header(), PngChunk("IDAT", stream), End()});
  // Of the stream itself its checksum, which is 4 bytes, is not needed.
  const size_t needed = png.size() - End().size() - 4 - 4;
  for (size_t size = needed; size < png.size(); ++size) {
    EXPECT_TRUE(DecodeWhole(First(png, size)).ok()) << size;
  }
  for (size_t size = 0; size < needed - 8; ++size) {
    const Status status = DecodeWhole(First(png, size));
    ASSERT_FALSE(status.ok()) << size;
    if (size >= Signature().size()) {
      EXPECT_EQ(status.message(),
                fmt::format("a.png: truncated PNG: it ends after {} bytes", size));
    }
  }
}

TEST(PngDamage, PixelsThatAreNotThereAreAnError) {
  const Bytes stream = Stream();
  for (size_t size = 0; size < stream.size() - 12; ++size) {
    const Bytes pixels = PngChunk("IDAT", First(stream, size));
    EXPECT_FALSE(DecodeWhole(Joined({Signature(), Header(), pixels, End()})).ok()) << size;
  }
  // A whole stream that is too short.
  const Bytes rows((kWidth * 3 + 1) * (kHeight - 1));
  const Bytes pixels = PngChunk("IDAT", Deflated(rows));
  EXPECT_FALSE(DecodeWhole(Joined({Signature(), Header(), pixels, End()})).ok());
  EXPECT_FALSE(DecodeWhole(Joined({Signature(), Header(), End()})).ok());
  EXPECT_FALSE(DecodeWhole(Joined({Signature(), Header()})).ok());
  EXPECT_FALSE(DecodeWhole(Joined({Signature(), pixels, Header(), End()})).ok());
}

TEST(PngDamage, DamagedPixelsAreAnError) {
  Bytes stream = Stream();
  stream.back() ^= 1;  // the checksum of the stream itself
  EXPECT_FALSE(DecodeWhole(Joined({Signature(), Header(), PngChunk("IDAT", stream), End()})).ok());
  stream = Stream();
  const Bytes text = PngChunk("tEXt", BytesOf("a text in between"));
  EXPECT_THAT(DecodeWhole(Joined({Signature(), Header(), PngChunk("IDAT", First(stream, 20)), text,
                                  PngChunk("IDAT", Part(stream, 20, stream.size())), End()}))
                  .message(),
              HasSubstr("a.png: damaged PNG: another chunk parts its pixels"));
}

TEST(PngDamage, HugeLengthsOfChunks) {
  const Bytes pixels = PngChunk("IDAT", Stream());
  for (size_t length : {size_t{0x7fffffff}, size_t{0x80000000}, size_t{0xffffffff}}) {
    for (const char* type : {"IHDR", "PLTE", "IDAT", "iTXt", "eXIf", "IEND"}) {
      const Bytes chunk = Joined({BigEndian32(length), BytesOf(type), Bytes(20)});
      EXPECT_FALSE(DecodeWhole(Joined({Signature(), Header(), chunk, pixels, End()})).ok());
      EXPECT_TRUE(DecodeWhole(Joined({Signature(), Header(), pixels, chunk})).ok()) << type;
    }
  }
}

// libpng reports rows of interlaced pictures more often than they have pixels.
TEST(PngDamage, TheLastPixelOfEveryInterlacedSize) {
  for (uint8_t width = 1; width <= 9; ++width) {
    for (uint8_t height = 1; height <= 9; ++height) {
      constexpr int kLeft[] = {0, 4, 0, 2, 0, 1, 0};
      constexpr int kRight[] = {8, 8, 4, 4, 2, 2, 1};
      constexpr int kTop[] = {0, 0, 4, 0, 2, 0, 1};
      constexpr int kDown[] = {8, 8, 8, 4, 4, 2, 2};
      Bytes rows;
      Bytes expected(size_t{width} * height * 3);
      for (int pass = 0; pass < 7; ++pass) {
        for (int y = kTop[pass]; y < height && kLeft[pass] < width; y += kDown[pass]) {
          rows.push_back(0);
          for (int x = kLeft[pass]; x < width; x += kRight[pass]) {
            const uint8_t value = static_cast<uint8_t>(1 + y * width + x);
            rows.push_back(value);
            std::fill_n(expected.begin() + (y * width + x) * 3, 3, value);
          }
        }
      }
      const Bytes header = PngChunk("IHDR", {0, 0, 0, width, 0, 0, 0, height, 8, 0, 0, 0, 1});
      const auto decode = [&](const Bytes& data) {
        return DecodeImage(Joined({Signature(), header, PngChunk("IDAT", Deflated(data))}), "a");
      };
      const auto image = decode(rows);
      ASSERT_TRUE(image.ok()) << image.status().message();
      EXPECT_EQ(image->pixels, expected) << int{width} << " x " << int{height};
      rows.pop_back();
      EXPECT_FALSE(decode(rows).ok()) << int{width} << " x " << int{height};
    }
  }
}

}  // namespace
}  // namespace fastvlm
